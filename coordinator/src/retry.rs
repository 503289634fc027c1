//! Having the app queue the ticket of a job again. The app sees to it that no ticket has two jobs; a job that
//! is still held here is not even asked about.

use api_client::{ApiError, JobId};

use crate::context::Context;
use crate::ledger::LedgerError;

/// What our app says of a job that it does not know; of a call that it does not know it says something else.
const UNKNOWN_JOB: &str = "Job not found";

/// No job was queued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetryError {
    #[error(
        "job {job} is still held by this coordinator: it has not ended, or its outcome waits to be told"
    )]
    Held { job: JobId },
    #[error("the ticket of job {job} has a job that waits or runs: nothing was queued")]
    Active { job: JobId },
    #[error("the app does not know job {job}: its ticket may have been deleted")]
    Unknown { job: JobId },
    #[error(
        "this app cannot be asked to queue a job again (the original app cannot): in the app, move the \
         ticket out of In Progress and back"
    )]
    NotOffered,
    #[error(
        "whether job {job} is still held by this coordinator cannot be read: nothing was queued"
    )]
    Unreadable {
        job: JobId,
        #[source]
        source: LedgerError,
    },
    #[error("the app was not asked with success")]
    App(#[source] ApiError),
}

/// Has the app queue the ticket of a job again; tells the new job.
pub(crate) async fn retry(ctx: &Context, job: JobId) -> Result<JobId, RetryError> {
    let held = ctx.ledger.holds(job).await;
    if held.map_err(|source| RetryError::Unreadable { job, source })? || ctx.board.has(job) {
        return Err(RetryError::Held { job });
    }
    ctx.api().retry_job(job).await.map_err(|error| reason(job, error))
}

fn reason(job: JobId, error: ApiError) -> RetryError {
    match error {
        ApiError::Refused { status: 409, .. } => RetryError::Active { job },
        ApiError::Gone { message, .. } if message == UNKNOWN_JOB => RetryError::Unknown { job },
        ApiError::Gone { .. } | ApiError::Refused { status: 405, .. } => RetryError::NotOffered,
        error => RetryError::App(error),
    }
}
