//! Telling the app how a job ended, until it knows; then cleaning up.
//!
//! The order is fixed: outcome on disk → acknowledged by the app → container removed → forgotten.
//! Whatever interrupts it, the next start goes on at the same place.

use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use api_client::contract::AgentExit;
use api_client::wire::{AgentEnv, JobCompletion, JobFailure, JobPause, JobUsage, LogEntry};
use api_client::{ApiError, UtcTime, delays, error_chain, retry};
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

/// How long a job waits whose agent does not say until when.
const USUAL_PAUSE: Duration = Duration::from_secs(900);

/// The cause of a parked job, where the app parks none.
const PARKED: &str = "parked";

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
pub(crate) async fn report(ctx: &Context, finished: Finished) {
    let Finished { record, outcome, .. } = &finished;
    let (job, ended_at) = (record.job.job_id, clock::now());
    ctx.board.job_stage(job, JobStage::Reporting);
    let began = SystemTime::now();
    let detached = &ctx.shutdown.detach;
    let end = detached.run_until_cancelled(settle(ctx, &finished)).await;
    // People are told when it is known whose the job was. The next start tells again of one that the app
    // does not know of.
    ctx.notifier.job_ended(&ctx.config().notify, &finished, end, ended_at);
    let Some(end) = end else { return };
    let put_away = async {
        ctx.board.outcome_settled(job);
        reported(ctx, record, end).await;
        ctx.traces.job(record, outcome, began);
        clean_up(ctx, &record.job).await;
    };
    detached.run_until_cancelled(put_away).await;
}

/// Has the app know the outcome, unless the job is another's.
async fn settle(ctx: &Context, finished: &Finished) -> ReportEnd {
    let Finished { record, outcome, .. } = finished;
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
    let job = &finished.record.job;
    let (reason, usage) = told_by_agent(ctx, finished).await;
    if finished.outcome.is_failure() {
        log_failure(ctx, &finished.record, &reason, &finished.tail).await;
    }
    let mut waits = delays(7).build();
    let mut unknown = Unknown::default();
    loop {
        let answer = tell(ctx, finished, &reason, usage).await;
        let wait = match verdict(&answer) {
            Verdict::Settled => {
                tracing::info!(job.id = %job.job_id, "reported to the app");
                return ReportEnd::Acknowledged;
            }
            Verdict::SettledOtherwise(error) => {
                tracing::warn!(job.id = %job.job_id, %error, "the app had settled the job before");
                return ReportEnd::SettledBefore;
            }
            Verdict::NotFound(error) => {
                if unknown.again(error, Instant::now()).is_break() {
                    tracing::warn!(job.id = %job.job_id, %error, "the app does not know the job");
                    return ReportEnd::UnknownToApp;
                }
                ctx.board.outcome_waits(job.job_id, &error.to_string(), Trouble::Passing);
                waits.next().unwrap_or(LONGEST_DELAY)
            }
            Verdict::Later(error) => {
                unknown = Unknown::default();
                let wait = waits.next().unwrap_or(LONGEST_DELAY);
                tracing::warn!(job.id = %job.job_id, %error, "outcome not delivered yet");
                ctx.board.outcome_waits(job.job_id, &error.to_string(), Trouble::Passing);
                error.retry_after().map_or(wait, |asked| asked.clamp(wait, LONGEST_RETRY_AFTER))
            }
            Verdict::AfterRepair(error) => {
                unknown = Unknown::default();
                tracing::error!(job.id = %job.job_id, %error, "outcome not delivered");
                ctx.board.outcome_waits(job.job_id, &error.to_string(), Trouble::Key);
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

async fn tell(
    ctx: &Context,
    finished: &Finished,
    reason: &str,
    usage: Option<JobUsage>,
) -> Result<(), ApiError> {
    let Finished { record, outcome, .. } = finished;
    let (job, claim_id, api) = (record.job.job_id, record.claim_id(), ctx.api());
    let failed = |cause: &str| {
        let (reason, cause) = (reason.to_owned(), Some(cause.to_owned()));
        JobFailure { reason, cause, claim_id, usage }
    };
    match (outcome, claim_id) {
        (Outcome::Failed(cause), _) => api.fail_job(job, &failed(cause.name())).await,
        (Outcome::Parked(pause), Some(claim_id)) => {
            let until = pause.until.unwrap_or_else(|| UtcTime::after(USUAL_PAUSE));
            let pause = JobPause { claim_id, until, reason: reason.to_owned(), usage };
            match api.park_job(job, &pause).await {
                Err(error) if error.is_call_unknown() => {
                    tracing::warn!(job.id = %job, %error, "the app parks no jobs: it is told a failure");
                    api.fail_job(job, &failed(PARKED)).await
                }
                answer => answer,
            }
        }
        (Outcome::Parked(_), None) => api.fail_job(job, &failed(PARKED)).await,
        (Outcome::Completed | Outcome::Superseded, _) => {
            api.complete_job(job, JobCompletion { claim_id, usage }).await
        }
    }
}

/// What an answer to a report means.
#[derive(Debug)]
enum Verdict<'a> {
    Settled,
    /// Completed or failed before: nothing is left to report.
    SettledOtherwise(&'a ApiError),
    NotFound(&'a ApiError),
    Later(&'a ApiError),
    AfterRepair(&'a ApiError),
}

fn verdict(answer: &Result<(), ApiError>) -> Verdict<'_> {
    match answer {
        Ok(()) => Verdict::Settled,
        Err(error) => match error {
            ApiError::Gone { .. } => Verdict::NotFound(error),
            ApiError::Refused { status: 409, .. } => Verdict::SettledOtherwise(error),
            ApiError::Unreachable { .. } | ApiError::Busy { .. } => Verdict::Later(error),
            ApiError::Unauthorised { .. }
            | ApiError::Refused { .. }
            | ApiError::Malformed { .. } => Verdict::AfterRepair(error),
        },
    }
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
async fn told_by_agent(ctx: &Context, finished: &Finished) -> (String, Option<JobUsage>) {
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
        Some(told) => (format!("{cause}; the agent: {told}"), usage),
        None => (cause, usage),
    }
}

async fn clean_up(ctx: &Context, job: &JobRef) {
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
