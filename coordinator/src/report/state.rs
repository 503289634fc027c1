//! The volume of a ticket, once a job has ended that left nothing in it.
//!
//! Invariant: it stays wherever the agent did not say that nothing is in it, and where another job of the ticket is
//! held. The engine removes none that a container has. One that is removed just before a job that was claimed since
//! gets its container is made again with that, and was empty.

use crate::context::Context;
use crate::engine::Leftover;
use crate::history::kept;
use crate::launch::state_volume;
use crate::ledger::Record;

/// Removes the volume of the record's ticket, where nothing is kept in it. Where it stays after all, it goes when its
/// time is over.
pub(super) async fn remove_state(ctx: &Context, record: &Record) {
    let Some(ticket) = record.job.ticket else { return };
    let ended = kept(ctx, record).await;
    let is_kept = ended.and_then(|ended| ended.believed()?.state_kept);
    if is_kept != Some(false) {
        return;
    }
    match ctx.ledger.jobs_of(ticket.ticket_id).await {
        Ok(jobs) if jobs.iter().all(|job| *job == record.job.job_id) => {}
        Ok(_) | Err(_) => return,
    }
    let volume = Leftover::volume(state_volume(ticket.ticket_id, ctx.id));
    if let Err(error) = ctx.engine.remove_leftover(&volume).await {
        tracing::debug!(job.id = %record.job.job_id, %error, "the ticket's volume stays");
    }
}
