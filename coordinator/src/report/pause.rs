//! A job whose provider lets nobody in for a while is given back to the app, to go on later. Where the app
//! has it go on no more, or takes nothing back, the job has failed, and everybody is told so.
//!
//! Invariant: an app that gives jobs back is asked until it answers. The claim fences the call, and the same
//! call made again is answered alike, so that neither a lost answer nor a crash makes a failure of a pause.

use std::ops::ControlFlow;
use std::time::Duration;

use api_client::contract::AgentExit;
use api_client::wire::{JobPause, Parked};
use api_client::{ApiError, UtcTime, delays};
use backon::BackoffBuilder;
use tokio::time::sleep;

use super::{Words, log_failure, until_settled, words};
use crate::context::Context;
use crate::history::{ReportEnd, came_to};
use crate::job::Finished;
use crate::outcome::{Cause, Outcome, Pause};

/// How long a job waits whose agent does not say until when.
const USUAL_PAUSE: Duration = Duration::from_secs(900);

/// An app that knows the claim, and refuses the pause this often in a row, has no pauses. Once may have been a
/// proxy while the app began.
const REFUSALS: usize = 5;

/// What became of the report of a pause.
enum Asked {
    Answered(Parked),
    /// The app has no pauses.
    NotTaken,
    NotOurs,
}

/// Gives a job back. Breaks where that settles it; what goes on is a failure, of which the app does not know
/// yet.
pub(super) async fn park(
    ctx: &Context,
    finished: &mut Finished,
    pause: Pause,
) -> ControlFlow<ReportEnd> {
    let job = finished.record.job.job_id;
    match asked(ctx, finished, pause).await {
        Err(end) => ControlFlow::Break(end),
        Ok(Asked::NotOurs) => {
            tracing::warn!(job.id = %job, "not parked: the app gave the job to someone else");
            ControlFlow::Break(ReportEnd::NotOurs)
        }
        Ok(Asked::Answered(Parked::Waits)) => {
            tracing::info!(job.id = %job, "given back to the app, to go on later");
            ControlFlow::Break(ReportEnd::Acknowledged)
        }
        Ok(Asked::Answered(Parked::Cancelled)) => {
            failed(ctx, finished, Cause::Cancelled).await;
            ControlFlow::Break(ReportEnd::Acknowledged)
        }
        Ok(Asked::Answered(Parked::Failed)) => {
            failed(ctx, finished, Cause::Agent { exit: AgentExit::Parked }).await;
            let reason = words(ctx, finished).await.reason;
            log_failure(ctx, &finished.record, &reason, &finished.tail).await;
            ControlFlow::Break(ReportEnd::Acknowledged)
        }
        Ok(Asked::NotTaken) => {
            failed(ctx, finished, Cause::Agent { exit: AgentExit::Parked }).await;
            ControlFlow::Continue(())
        }
    }
}

/// The job has failed after all: on disk first, so that a later start says nothing else.
async fn failed(ctx: &Context, finished: &mut Finished, cause: Cause) {
    tracing::warn!(job.id = %finished.record.job.job_id, "the app does not park the job");
    let (outcome, tail) = (Outcome::Failed(cause), std::mem::take(&mut finished.tail));
    *finished = Finished::on_disk(&ctx.ledger, &finished.record, outcome, tail).await;
    came_to(ctx, &finished.record, &finished.outcome).await;
    ctx.board.job_ended(&finished.outcome, None);
}

async fn asked(ctx: &Context, finished: &Finished, pause: Pause) -> Result<Asked, ReportEnd> {
    let Some(claim_id) = finished.record.claim_id() else { return Ok(Asked::NotTaken) };
    let Words { reason, usage } = words(ctx, finished).await;
    let until = pause.until.unwrap_or_else(|| UtcTime::after(USUAL_PAUSE));
    let pause = JobPause { claim_id, until, reason, usage };
    until_settled(ctx, finished.record.job.job_id, || ask(ctx, finished, &pause)).await
}

async fn ask(ctx: &Context, finished: &Finished, pause: &JobPause) -> Result<Asked, ApiError> {
    let (job, api) = (finished.record.job.job_id, ctx.api());
    let mut waits = delays(REFUSALS).build();
    loop {
        let error = match api.park_job(job, pause).await {
            Ok(parked) => return Ok(Asked::Answered(parked)),
            Err(ApiError::Refused { status: 409, .. }) => return Ok(Asked::NotOurs),
            Err(error) if is_refusal(&error) => error,
            Err(error) => return Err(error),
        };
        // Where that is refused as well, it is not for the pause.
        api.renew_lease(job, pause.claim_id).await?;
        let Some(wait) = waits.next() else {
            tracing::warn!(job.id = %job, %error, "the app takes no pauses: it is told a failure");
            return Ok(Asked::NotTaken);
        };
        sleep(wait).await;
    }
}

/// Whether it may be what an app says that has no such call. Else somebody was away, or stood before it.
const fn is_refusal(error: &ApiError) -> bool {
    match error {
        ApiError::Gone { .. } | ApiError::Refused { .. } | ApiError::Unauthorised { .. } => true,
        ApiError::Busy { status, .. } => *status == 501,
        ApiError::Malformed { .. } | ApiError::Unreachable { .. } => false,
    }
}
