//! Starting a job whose agent never had its job document, though an earlier coordinator had claimed
//! it. The document holds secrets, so it is not on disk: the app is asked for the job again, under
//! the claim that holds it.

use std::time::Duration;

use api_client::wire::Job;
use api_client::{ApiError, Claim, delays, error_chain};
use backon::BackoffBuilder;
use tokio::time::sleep;

use crate::clock::now;
use crate::context::Context;
use crate::job::{Claimed, Finished};
use crate::ledger::{Happened, JobRef, Record, Runs, Stage};
use crate::metrics::Retry;
use crate::outcome::{Cause, Outcome};
use crate::report::report;
use crate::slot::Slot;
use crate::work::carry_out;

/// Between two tries once the growing delays are used up.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Has the app give the job again, and carries it out. Nothing is returned when the coordinator
/// leaves first.
pub(crate) async fn resume(ctx: &Context, record: Record, slot: Slot) -> Option<Finished> {
    let detach = ctx.shutdown.detach.clone();
    let record = record.at(Stage::Claimed).noted(Happened::AskedAgain);
    ctx.board.retried(Retry::Job);
    match detach.run_until_cancelled(ask_again(ctx, &record)).await? {
        Again::Job(job) => Box::pin(carry_out(ctx, Claimed { job: *job, record, slot })).await,
        Again::Ended(outcome) => {
            ctx.board.job_ended(&outcome, None);
            Some(Finished::without_words(&ctx.ledger, &record, outcome).await)
        }
    }
}

enum Again {
    Job(Box<Job>),
    Ended(Outcome),
}

async fn ask_again(ctx: &Context, record: &Record) -> Again {
    let job = record.job.job_id;
    // An app that does not know the claim any more must not give a job of a project that is not ours.
    let project = record.job.ticket.map(|ticket| ticket.project_id);
    let mut waits = delays(7).build();
    let superseded = ctx.leases.superseded(job);
    loop {
        if ctx.shutdown.agents.is_cancelled() {
            return Again::Ended(Outcome::Failed(Cause::Interrupted));
        }
        if superseded.is_cancelled() {
            return Again::Ended(Outcome::Superseded);
        }
        let problem = match clear(ctx, record).await {
            Err(problem) => problem,
            Ok(()) => match ctx.api().claim(project, record.claim_id()).await {
                Ok(Claim::Job(given)) if given.job_id == job => return Again::Job(given),
                Ok(Claim::Job(other)) => {
                    Box::pin(give_back(ctx, &other)).await;
                    return Again::Ended(Outcome::Failed(Cause::Interrupted));
                }
                Ok(Claim::Empty) | Err(ApiError::Refused { status: 409, .. }) => {
                    return Again::Ended(Outcome::Superseded);
                }
                Err(ApiError::Malformed { job: Some(given), problem, .. }) if given == job => {
                    return Again::Ended(Outcome::Failed(Cause::Unreadable { problem }));
                }
                Err(error) => error.to_string(),
            },
        };
        tracing::warn!(job.id = %job, "not started again yet: {problem}");
        tokio::select! {
            () = sleep(waits.next().unwrap_or(LONGEST_DELAY)) => {}
            () = ctx.live.changed() => {}
            () = superseded.cancelled() => {}
            () = ctx.shutdown.agents.cancelled() => {}
        }
    }
}

/// Notes that the job is to be started, then removes what an earlier try has left of it.
async fn clear(ctx: &Context, record: &Record) -> Result<(), String> {
    ctx.ledger.write(record).await.map_err(|error| error_chain(&error))?;
    if record.job.runs == Runs::OnHost {
        return Ok(());
    }
    ctx.remove_container(record.job.job_id).await.map_err(|error| error_chain(&error))
}

/// An app that knew claim ids and does not any more has given another job: it is told so at once.
async fn give_back(ctx: &Context, other: &Job) {
    tracing::error!(job.id = %other.job_id, "the app does not know its own claim any more");
    let record = Record::claimed(JobRef::of(other, Runs::InContainer), None, now());
    let outcome = Outcome::Failed(Cause::Interrupted);
    let finished = Finished::without_words(&ctx.ledger, &record, outcome).await;
    report(ctx, finished).await;
}
