//! Telling the app how a job ended, until it knows; then cleaning up.
//!
//! The order is fixed: outcome on disk → acknowledged by the app → container removed → forgotten.
//! Whatever interrupts it, the next start goes on at the same place.

mod pause;

use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use api_client::contract::AgentExit;
use api_client::wire::{AgentEnv, JobCompletion, JobFailure, JobUsage, LogEntry};
use api_client::{ApiError, JobId, delays, error_chain, retry};
use backon::BackoffBuilder;
use tokio::time::sleep;

use crate::board::{JobStage, Trouble};
use crate::clock;
use crate::collect::Collected;
use crate::context::{Context, Mode};
use crate::history::{ReportEnd, ended_job, keep, kept, reported, told, usage};
use crate::job::Finished;
use crate::keeper::remove_notes;
use crate::ledger::{JobRef, Record, Runs};
use crate::metrics::Retry;
use crate::outcome::Outcome;
use crate::unknown::Unknown;

/// Between two tries once the growing delays are used up, and after a refusal that only a mended
/// key can end.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Longest pause that the app can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// How long a coordinator of one job waits for an engine that is gone.
const ONCE_PATIENCE: Duration = Duration::from_secs(10);

/// People are told of a container that could not be removed this often.
const TOLD_AFTER: u32 = 5;

/// A ticket's log is worth this many tries, and no more.
const LOG_TRIES: usize = 3;

/// Delivers the outcome of a job and forgets it. Returns early when the coordinator leaves.
pub(crate) async fn report(ctx: &Context, mut finished: Finished) {
    let (job, ended_at) = (finished.record.job.job_id, clock::now());
    ctx.board.job_stage(job, JobStage::Reporting);
    let began = SystemTime::now();
    let detached = &ctx.shutdown.detach;
    let end = detached.run_until_cancelled(settle(ctx, &mut finished)).await;
    let Finished { record, outcome, .. } = &finished;
    // People are told when it is known whose the job was. The next start tells again of one that the app
    // does not know of.
    ctx.notifier.job_ended(&ctx.config().notify, &finished, end, ended_at);
    let Some(end) = end else { return };
    let put_away = async {
        ctx.board.outcome_settled(job);
        reported(ctx, record, end).await;
        ctx.traces.job(record, outcome, began);
        clean_up(ctx, record).await;
    };
    detached.run_until_cancelled(put_away).await;
}

/// Has the app know the outcome, unless the job is another's. A pause that the app does not grant is a failure
/// from then on.
async fn settle(ctx: &Context, finished: &mut Finished) -> ReportEnd {
    if let Outcome::Parked(pause) = finished.outcome
        && let ControlFlow::Break(end) = pause::park(ctx, finished, pause).await
    {
        return end;
    }
    let Finished { record, outcome, .. } = &*finished;
    let job = record.job.job_id;
    let superseded = ctx.leases.superseded(job);
    if *outcome == Outcome::Superseded {
        tracing::warn!(job.id = %job, "not reported: the app gave the job to someone else");
        ReportEnd::NotOurs
    } else if is_over(ctx, record).await {
        tracing::warn!(job.id = %job, "our claim is over by now; not reported: {outcome}");
        ReportEnd::NotOurs
    } else if let Some(end) = superseded.run_until_cancelled(deliver(ctx, finished)).await {
        end
    } else {
        tracing::warn!(job.id = %job, "the job is another's by now; not reported: {outcome}");
        ReportEnd::NotOurs
    }
}

/// Whether our claim is over, so that nothing must be put on the ticket any more; asked where the app
/// has not said lately that it holds. Where the app does not answer, it says so to the report.
async fn is_over(ctx: &Context, record: &Record) -> bool {
    let job = record.job.job_id;
    match record.claim_id() {
        Some(claim) if !ctx.leases.is_confirmed(job) => {
            let renewed = ctx.api().renew_lease(job, claim).await;
            matches!(renewed, Err(ApiError::Refused { status: 409, .. }))
        }
        _ => false,
    }
}

async fn deliver(ctx: &Context, finished: &Finished) -> ReportEnd {
    let job = finished.record.job.job_id;
    let words = words(ctx, finished).await;
    if finished.outcome.is_failure() {
        log_failure(ctx, &finished.record, &words.reason, &finished.tail).await;
    }
    match until_settled(ctx, job, || tell(ctx, finished, &words)).await {
        Ok(()) => {
            tracing::info!(job.id = %job, "reported to the app");
            ReportEnd::Acknowledged
        }
        Err(end) => end,
    }
}

/// Reports to the app until it takes that: what it answers, or how the report ended in another way.
async fn until_settled<T, F: Future<Output = Result<T, ApiError>>>(
    ctx: &Context,
    job: JobId,
    report: impl Fn() -> F,
) -> Result<T, ReportEnd> {
    let mut waits = delays(7).build();
    let mut unknown = Unknown::default();
    loop {
        let error = match report().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let wait = match remedy(&error) {
            Remedy::None => {
                tracing::warn!(job.id = %job, %error, "the app had settled the job before");
                return Err(ReportEnd::SettledBefore);
            }
            Remedy::Doubt => {
                if unknown.again(&error, Instant::now()).is_break() {
                    tracing::warn!(job.id = %job, %error, "the app does not know the job");
                    return Err(ReportEnd::UnknownToApp);
                }
                ctx.board.outcome_waits(job, &error.to_string(), Trouble::Passing);
                waits.next().unwrap_or(LONGEST_DELAY)
            }
            Remedy::Time => {
                unknown = Unknown::default();
                let wait = waits.next().unwrap_or(LONGEST_DELAY);
                tracing::warn!(job.id = %job, %error, "outcome not delivered yet");
                ctx.board.outcome_waits(job, &error.to_string(), Trouble::Passing);
                error.retry_after().map_or(wait, |asked| asked.clamp(wait, LONGEST_RETRY_AFTER))
            }
            Remedy::Repair => {
                unknown = Unknown::default();
                tracing::error!(job.id = %job, %error, "outcome not delivered");
                ctx.board.outcome_waits(job, &error.to_string(), Trouble::Key);
                LONGEST_DELAY
            }
        };
        ctx.board.retried(Retry::Report);
        // The settings may bring another key.
        tokio::select! {
            () = sleep(wait) => {}
            () = ctx.live.changed() => {}
        }
    }
}

async fn tell(ctx: &Context, finished: &Finished, words: &Words) -> Result<(), ApiError> {
    let Finished { record, outcome, .. } = finished;
    let (job, claim_id, api) = (record.job.job_id, record.claim_id(), ctx.api());
    let usage = words.usage;
    if let Outcome::Failed(cause) = outcome {
        let (reason, cause) = (words.reason.clone(), Some(cause.name().to_owned()));
        api.fail_job(job, &JobFailure { reason, cause, claim_id, usage }).await
    } else {
        api.complete_job(job, JobCompletion { claim_id, usage }).await
    }
}

/// What helps where the app has not taken a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// Nothing has to: the job was completed or failed before.
    None,
    /// The app may not know the job; it is to be asked again.
    Doubt,
    Time,
    /// Of the key, or of the app.
    Repair,
}

const fn remedy(error: &ApiError) -> Remedy {
    match error {
        ApiError::Gone { .. } => Remedy::Doubt,
        ApiError::Refused { status: 409, .. } => Remedy::None,
        ApiError::Unreachable { .. } | ApiError::Busy { .. } => Remedy::Time,
        ApiError::Unauthorised { .. } | ApiError::Refused { .. } | ApiError::Malformed { .. } => {
            Remedy::Repair
        }
    }
}

/// What is told with an outcome.
struct Words {
    reason: String,
    usage: Option<JobUsage>,
}

/// Puts the cause and the end of the output on the ticket, where people look first.
async fn log_failure(ctx: &Context, record: &Record, reason: &str, tail: &str) {
    let job = &record.job;
    let Some(ticket) = job.ticket else { return };
    let image = record.digest.as_ref().map(|digest| format!(" (image {digest})"));
    let entry = LogEntry {
        session_id: format!("coordinator-{}", job.job_id),
        step: "agent_failed".to_owned(),
        summary: format!("{reason}{}", image.unwrap_or_default()),
        raw_output: (!tail.is_empty()).then(|| tail.to_owned()),
    };
    let api = ctx.api();
    let post = || api.post_log(ticket.project_id, ticket.ticket_id, &entry);
    if let Err(error) = retry(LOG_TRIES, post).await {
        tracing::warn!(job.id = %job.job_id, %error, "the ticket's log misses the failure");
    }
}

/// Why a job failed or waits, as it may be told, and what it used, as far as its agent says.
async fn words(ctx: &Context, finished: &Finished) -> Words {
    let Finished { record, outcome, .. } = finished;
    let ended = match kept(ctx, record).await {
        Some(ended) => ended,
        // It never came as far as an agent.
        None => {
            let ended = ended_job(ctx, record, outcome, Collected::default());
            keep(ctx, ended.clone()).await;
            ended
        }
    };
    let cause = match outcome {
        // It can quote what a container or the engine said.
        Outcome::Failed(cause) => {
            ctx.redactor(&AgentEnv::default()).redact(&cause.to_string()).into_owned()
        }
        Outcome::Parked(_) => AgentExit::Parked.describe().to_owned(),
        Outcome::Completed | Outcome::Superseded => String::new(),
    };
    let usage = ended.believed().map(usage);
    // Above all where its work is.
    match ended.believed().map(told).filter(|told| !told.is_empty()) {
        Some(told) => Words { reason: format!("{cause}; the agent: {told}"), usage },
        None => Words { reason: cause, usage },
    }
}

async fn clean_up(ctx: &Context, record: &Record) {
    let job = &record.job;
    if job.runs == Runs::InContainer && remove_container(ctx, job).await.is_break() {
        return;
    }
    let notes = ctx.host_dir(job.job_id);
    let removed = {
        let notes = notes.clone();
        tokio::task::spawn_blocking(move || remove_notes(&notes)).await
    };
    if let Err(error) = removed.unwrap_or_else(|failed| Err(io::Error::other(failed))) {
        tracing::warn!(path = %notes.display(), %error, "the keeper's notes are left");
    }
    if let Err(error) = ctx.ledger.forget(job.job_id).await {
        let error = error_chain(&error);
        tracing::warn!(job.id = %job.job_id, error, "a settled job will be reported again");
    }
}

/// Removes the job's container, however long the engine takes to come back; a coordinator of one
/// job leaves it to the next start after [`ONCE_PATIENCE`].
async fn remove_container(ctx: &Context, job: &JobRef) -> ControlFlow<()> {
    let mut waits = delays(7).build();
    let begun = Instant::now();
    let mut tries = 0;
    while let Err(error) = ctx.remove_container(job.job_id).await {
        if ctx.mode == Mode::Once && begun.elapsed() > ONCE_PATIENCE {
            tracing::warn!(job.id = %job.job_id, %error, "container left to the next start");
            return ControlFlow::Break(());
        }
        ctx.board.retried(Retry::Removal);
        tries += 1;
        if tries == TOLD_AFTER {
            tracing::warn!(job.id = %job.job_id, %error, "its container cannot be removed; trying on");
        }
        tracing::debug!(job.id = %job.job_id, %error, "container not removed yet");
        sleep(waits.next().unwrap_or(LONGEST_DELAY)).await;
    }
    ControlFlow::Continue(())
}
