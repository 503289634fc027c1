//! A job whose provider lets nobody in for a while is given back to the app, to go on later. Where the app
//! has it go on no more, or takes nothing back, the job has failed, and everybody is told so.

use std::ops::ControlFlow;
use std::time::Duration;

use api_client::contract::AgentExit;
use api_client::wire::{JobPause, Parked};
use api_client::{ApiError, ClaimId, JobId, UtcTime};

use super::{Words, until_settled, words};
use crate::context::Context;
use crate::history::{ReportEnd, came_to};
use crate::job::Finished;
use crate::outcome::{Cause, Outcome, Pause};

/// How long a job waits whose agent does not say until when.
const USUAL_PAUSE: Duration = Duration::from_secs(900);

/// What became of the report of a pause.
enum Asked {
    Answered(Parked),
    /// The app has no pauses, or not this one.
    NotTaken,
}

/// Gives a job back. Breaks where that settles it; what goes on is a failure, of which the app does not know
/// yet.
pub(super) async fn park(
    ctx: &Context,
    finished: &mut Finished,
    pause: Pause,
) -> ControlFlow<ReportEnd> {
    let acknowledged = ControlFlow::Break(ReportEnd::Acknowledged);
    let (cause, flow) = match asked(ctx, finished, pause).await {
        Err(end) => return ControlFlow::Break(end),
        Ok(Asked::Answered(Parked::Waits)) => return acknowledged,
        Ok(Asked::Answered(Parked::Cancelled)) => (Cause::Cancelled, acknowledged),
        Ok(Asked::Answered(Parked::Failed)) => (came_to_a_limit(), acknowledged),
        Ok(Asked::NotTaken) => (came_to_a_limit(), ControlFlow::Continue(())),
    };
    finished.outcome = Outcome::Failed(cause);
    tracing::warn!(job.id = %finished.record.job.job_id, "the app does not park the job");
    came_to(ctx, &finished.record, &finished.outcome).await;
    flow
}

const fn came_to_a_limit() -> Cause {
    Cause::Agent { exit: AgentExit::Parked }
}

async fn asked(ctx: &Context, finished: &Finished, pause: Pause) -> Result<Asked, ReportEnd> {
    let job = finished.record.job.job_id;
    let Some(claim_id) = finished.record.claim_id() else { return Ok(Asked::NotTaken) };
    let Words { reason, usage } = words(ctx, finished).await;
    let until = pause.until.unwrap_or_else(|| UtcTime::after(USUAL_PAUSE));
    let pause = JobPause { claim_id, until, reason, usage };
    until_settled(ctx, job, || ask(ctx, job, claim_id, &pause)).await
}

async fn ask(
    ctx: &Context,
    job: JobId,
    claim: ClaimId,
    pause: &JobPause,
) -> Result<Asked, ApiError> {
    let api = ctx.api();
    let refusal = match api.park_job(job, pause).await {
        Ok(parked) => return Ok(Asked::Answered(parked)),
        // There is no such call, or no such job, or the app is away: who knows the claim tells.
        Err(error @ ApiError::Gone { .. }) => match api.renew_lease(job, claim).await {
            Ok(()) => error,
            Err(error) => return Err(error),
        },
        Err(error) if is_for_good(&error) => error,
        Err(error) => return Err(error),
    };
    tracing::warn!(job.id = %job, error = %refusal, "the app takes no such pause: it is told a failure");
    Ok(Asked::NotTaken)
}

/// Whether the app would say the same to the same report again, and has not settled the job.
const fn is_for_good(error: &ApiError) -> bool {
    match error {
        ApiError::Refused { status, .. } => *status != 409,
        ApiError::Busy { status, .. } => *status == 501,
        ApiError::Malformed { .. } => true,
        ApiError::Unreachable { .. } | ApiError::Unauthorised { .. } | ApiError::Gone { .. } => {
            false
        }
    }
}
