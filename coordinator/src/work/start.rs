//! The beginning of a job: its token, its container, or the host in its place. The decision to fall back
//! to the host is taken here and nowhere else.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use api_client::wire::{ExecutionMode, Job};
use api_client::{JobId, Redactor, error_chain};
use tokio::time::sleep;

use super::{After, watch};
use crate::board::JobStage;
use crate::breaker::Dependency;
use crate::check::cure;
use crate::collect::forget_transcript;
use crate::config::HostFallback;
use crate::context::Context;
use crate::engine::ContainerRef;
use crate::forge_token::{ForgeToken, NoToken, mint, repository_of};
use crate::job::Place;
use crate::launch::{LaunchError, start_container, start_on_host};
use crate::ledger::{Record, Runs};
use crate::logging;
use crate::metrics::Retry;
use crate::outcome::{Cause, Outcome};
use crate::output::{Output, tail_of_file};
use crate::readiness::{self, NotReady};
use crate::traces::{Step, end_of};
use crate::verdict::Began;

/// How long a job waits for a range of addresses, and how often it looks.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(900);
const ADDRESS_RETRY: Duration = Duration::from_secs(10);

/// Why there is no container where the operator wants none.
const ALWAYS_ON_HOST: &str = "HOST_FALLBACK=always: jobs run on this host";

/// Starts a claimed job's agent, and follows it to its end.
pub(super) async fn begin(ctx: &Context, job: &Job, mut record: Record) -> (Record, After) {
    if let Some(problem) = refused(ctx, &record, job) {
        return (record, After::ended(Outcome::Failed(Cause::NotStarted { problem })));
    }
    if let Some(after) = unfit(ctx, &record, job).await {
        return (record, after);
    }
    match token_of(ctx, &mut record, job).await {
        Ok(token) => {
            forget_transcript(ctx, job.job_id).await;
            launch(ctx, job, record, token).await
        }
        Err(after) => (record, after),
    }
}

/// Why a job that is meant for this host may not run here.
fn refused(ctx: &Context, record: &Record, job: &Job) -> Option<String> {
    match record.job.runs {
        Runs::InContainer => None,
        Runs::OnHost => ctx.config().refuses_on_host(job.project_id, job.execution_mode),
    }
}

/// What becomes of a job whose container can be known not to be had: it does not go to the host, where
/// it would run without the isolation that its project asks for.
async fn unfit(ctx: &Context, record: &Record, job: &Job) -> Option<After> {
    if record.job.runs == Runs::OnHost {
        return None;
    }
    ctx.board.job_stage(job.job_id, JobStage::Launching);
    let superseded = ctx.leases.superseded(job.job_id);
    let reason = tokio::select! {
        biased;
        () = ctx.shutdown.detach.cancelled() => return Some(After::Detached),
        () = superseded.cancelled() => return Some(After::ended(Outcome::Superseded)),
        () = ctx.shutdown.agents.cancelled() => {
            return Some(After::ended(Outcome::Failed(Cause::Interrupted)));
        }
        reason = readiness::unfit(ctx, job.project_id) => reason?,
    };
    let problem = error_chain(&reason);
    Some(After::ended(Outcome::Failed(match reason {
        NotReady::Image(_) => Cause::ImageMissing { problem },
        _ => Cause::NotStarted { problem },
    })))
}

/// Has the agent run wherever it may.
async fn launch(
    ctx: &Context,
    job: &Job,
    record: Record,
    token: Option<ForgeToken>,
) -> (Record, After) {
    match record.job.runs {
        Runs::InContainer => in_container(ctx, job, record, token).await,
        Runs::OnHost => {
            let chosen = (job.execution_mode == ExecutionMode::Docker).then_some(ALWAYS_ON_HOST);
            on_host(ctx, job, record, token, chosen).await
        }
    }
}

/// The token of a job's repository, where a GitHub App makes it.
async fn token_of(
    ctx: &Context,
    record: &mut Record,
    job: &Job,
) -> Result<Option<ForgeToken>, After> {
    record.token_for = repository_of(&ctx.config(), job);
    let Some(repository) = &record.token_for else { return Ok(None) };
    ctx.board.job_stage(job.job_id, JobStage::Launching);
    let made = mint(ctx, record, job, repository).await;
    made.map(Some).map_err(|none| match none {
        NoToken::Refused(error) => {
            if error.concerns_every_repository() {
                ctx.app_doubts.fetch_add(1, Ordering::Relaxed);
            }
            After::ended(Outcome::Failed(Cause::ForgeToken { problem: error_chain(&error) }))
        }
        NoToken::Detached => After::Detached,
        NoToken::Interrupted => After::ended(Outcome::Failed(Cause::Interrupted)),
        NoToken::Superseded => After::ended(Outcome::Superseded),
    })
}

async fn in_container(
    ctx: &Context,
    job: &Job,
    record: Record,
    token: Option<ForgeToken>,
) -> (Record, After) {
    ctx.board.job_stage(job.job_id, JobStage::Launching);
    let begun = SystemTime::now();
    let started = Box::pin(start_in_time(ctx, job, &record, token.as_ref())).await;
    ctx.traces.step(&record, Step::Launch, begun, end_of(&started));
    let problem = match started {
        Ok((started, name)) => {
            ctx.breakers.note(Dependency::Launch, &ctx.board, true);
            let shown = ContainerRef::of(job.job_id);
            let digest = started.digest.as_ref().map(tracing::field::display);
            logging::in_container(&started);
            tracing::info!(container.name = %shown, image.digest = digest, "agent started");
            ctx.board.job_image(&started);
            let output =
                Output::open(ctx.log_path(job.job_id), &redactor(ctx, job, token.as_ref())).await;
            let output = output.and_to(ctx.journal_of(&started)).await;
            let place = Place::Container(name);
            match watch(ctx, &started, place, output, Began::Here, token.clone()).await {
                After::NeverBegan { problem, .. } => problem,
                after => return (started, after),
            }
        }
        Err(error @ LaunchError::StartedBefore) => {
            let outcome = Outcome::Failed(Cause::NotStarted { problem: error.to_string() });
            return (record, After::ended(outcome));
        }
        Err(LaunchError::Ledger(error)) => {
            let outcome = Outcome::Failed(Cause::NotRecorded { problem: error_chain(&error) });
            return (record, After::ended(outcome));
        }
        Err(error) if error.is_want_of_addresses() => {
            discard(ctx, job.job_id).await;
            if ctx.shutdown.detach.is_cancelled() {
                return (record, After::Detached);
            }
            let problem = error_chain(&error);
            return (record, After::NeverBegan { problem, tail: String::new() });
        }
        Err(error) => match lasting(ctx, job, &error) {
            Some(problem) => {
                discard(ctx, job.job_id).await;
                ctx.breakers.note(Dependency::Launch, &ctx.board, false);
                return (record, After::NeverBegan { problem, tail: String::new() });
            }
            None => error_chain(&error),
        },
    };
    discard(ctx, job.job_id).await;
    match ctx.config().fallback_for(job.project_id) {
        HostFallback::Never => {
            ctx.breakers.note(Dependency::Launch, &ctx.board, false);
            let tail = tail_of_file(&ctx.log_path(job.job_id)).await;
            (record, After::NeverBegan { problem, tail })
        }
        HostFallback::OnStartFailure | HostFallback::Always => {
            on_host(ctx, job, record, token, Some(&problem)).await
        }
    }
}

/// What a start has shown that lasts: the engine cannot give what the settings ask for. Such a job does
/// not go to the host, which gives even less.
fn lasting(ctx: &Context, job: &Job, error: &LaunchError) -> Option<String> {
    let problem = error_chain(error);
    match cure(error, ctx.config().agent_for(job.project_id)) {
        Some(cure) => Some(format!("{problem}: {cure}")),
        None => error.is_no_such_image().then_some(problem),
    }
}

/// Starts the container. An engine without a free range of addresses has one again when another job
/// ends: that is waited for, and no reason to do without isolation.
async fn start_in_time(
    ctx: &Context,
    job: &Job,
    record: &Record,
    token: Option<&ForgeToken>,
) -> Result<(Record, ContainerRef), LaunchError> {
    let begun = Instant::now();
    let superseded = ctx.leases.superseded(job.job_id);
    loop {
        let started = start_container(ctx, job, record, token).await;
        let Err(error) = started else { return started };
        if !error.is_want_of_addresses() || begun.elapsed() > ADDRESS_PATIENCE {
            return Err(error);
        }
        tracing::warn!(job.id = %job.job_id, "waiting for a network: {}", error_chain(&error));
        ctx.breakers.note(Dependency::Launch, &ctx.board, false);
        ctx.board.retried(Retry::Launch);
        tokio::select! {
            () = sleep(ADDRESS_RETRY) => {}
            () = ctx.shutdown.detach.cancelled() => return Err(error),
            () = ctx.shutdown.agents.cancelled() => return Err(error),
            () = superseded.cancelled() => return Err(error),
        }
    }
}

/// Runs the agent on the host. `no_container` says why a job that was meant for one has none.
async fn on_host(
    ctx: &Context,
    job: &Job,
    record: Record,
    token: Option<ForgeToken>,
    no_container: Option<&str>,
) -> (Record, After) {
    if ctx.shutdown.detach.is_cancelled() {
        return (record, After::Detached);
    }
    if let Some(problem) = no_container {
        tracing::warn!(
            job.id = %job.job_id,
            "no container ({problem}): the agent runs on the host, WITHOUT isolation"
        );
    }
    let start = start_on_host(ctx, job, &record, token.as_ref(), no_container);
    let begun = SystemTime::now();
    let started = Box::pin(start).await;
    ctx.traces.step(&record, Step::Launch, begun, end_of(&started));
    match started {
        Ok((started, keeper)) => {
            let pid = keeper.process.as_ref().map(|process| process.pid);
            tracing::info!(job.id = %job.job_id, pid, "agent started on the host");
            let output =
                Output::open(ctx.log_path(job.job_id), &redactor(ctx, job, token.as_ref())).await;
            let place = Place::Host(keeper);
            let after = watch(ctx, &started, place, output, Began::Here, token).await;
            (started, after)
        }
        Err(error) => {
            let host = error_chain(&error);
            let problem = match no_container {
                Some(container) => format!("{container}; and on the host: {host}"),
                None => host,
            };
            let tail = tail_of_file(&ctx.log_path(job.job_id)).await;
            (record, After::NeverBegan { problem, tail })
        }
    }
}

/// Hides what is secret in a job that this coordinator starts.
fn redactor(ctx: &Context, job: &Job, token: Option<&ForgeToken>) -> Redactor {
    ctx.redactor(&job.agent_env).and(token.into_iter().flat_map(ForgeToken::secrets))
}

/// Removes a container whose agent never got its document. Where the engine cannot, the clean-up
/// after the report will.
async fn discard(ctx: &Context, job: JobId) {
    if let Err(error) = ctx.remove_container(job).await {
        tracing::debug!(job.id = %job, %error, "container removed later");
    }
}
