//! The life of one job from its claim to its outcome on disk: launch, supervise, outcome. The
//! decision to fall back to the host is taken here and nowhere else.

use std::sync::atomic::Ordering;
use std::time::Duration;

use api_client::wire::{AgentEnv, ExecutionMode, Job};
use api_client::{ApiError, Redactor, delays, error_chain};
use backon::BackoffBuilder;
use tokio::time::sleep;

use crate::config::HostFallback;
use crate::context::Context;
use crate::engine::{ContainerName, ExitFacts};
use crate::job::{Adopted, Claimed, Finished, Place};
use crate::launch::{LaunchError, start_container, start_on_host};
use crate::ledger::{Record, Runs, Stage};
use crate::outcome::{Cause, Outcome};
use crate::output::Output;
use crate::supervise::{Completeness, ContainerEnd, HostEnd, watch_container, watch_host};

/// Between two questions to the app once the growing delays are used up.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Why there is no container where the operator wants none.
const ALWAYS_ON_HOST: &str = "HOST_FALLBACK=always: jobs run on this host";

/// How much of the last words of a container becomes part of an outcome, in characters.
const SAID_MAX_CHARS: usize = 2_000;

/// Where a job stands after its agent was watched.
#[derive(Debug)]
enum After {
    /// It ended, with this outcome.
    Ended { outcome: Outcome, output: Output },
    /// No agent began: why.
    NeverBegan { problem: String, output: Output },
    /// The coordinator stops, and the job is left as its record has it.
    Detached,
}

/// Runs a claimed job. Nothing is returned when the job was left for the next start.
pub(crate) async fn carry_out(ctx: &Context, claimed: Claimed) -> Option<Finished> {
    let Claimed { job, record, slot } = claimed;
    let output = Output::open(ctx.log_path(job.job_id), &ctx.redactor(&job.agent_env)).await;
    let (record, after) = match record.job.runs {
        Runs::InContainer => in_container(ctx, &job, record, output).await,
        Runs::OnHost => {
            let chosen = (job.execution_mode == ExecutionMode::Docker).then_some(ALWAYS_ON_HOST);
            on_host(ctx, &job, record, output, chosen).await
        }
    };
    let finished = finish(ctx, record, after).await;
    drop(slot);
    finished
}

/// Watches a job whose container an earlier coordinator started.
pub(crate) async fn carry_on(ctx: &Context, adopted: Adopted) -> Option<Finished> {
    let Adopted { record, slot } = adopted;
    let redactor = ctx.stop.run_until_cancelled(redactor_again(ctx, &record)).await?;
    let output = Output::open_anew(ctx.log_path(record.job.job_id), &redactor).await;
    let after = watch(ctx, Place::Container(ContainerName::of(record.job.job_id)), output).await;
    let finished = finish(ctx, record, after).await;
    drop(slot);
    finished
}

/// What hides the secrets of a job whose claim another process made: the app's settings are asked
/// for again, for as long as it takes. Without the app nothing could be reported either.
async fn redactor_again(ctx: &Context, record: &Record) -> Redactor {
    let Some(ticket) = record.job.ticket else { return ctx.redactor(&AgentEnv::default()) };
    let mut waits = delays(7).build();
    loop {
        match ctx.api.worker_context(ticket.project_id, ticket.ticket_id).await {
            Ok(context) => return ctx.redactor(&context.agent_settings),
            // Its ticket is gone, and so is everyone who could read its log there.
            Err(ApiError::Gone { .. }) => return ctx.redactor(&AgentEnv::default()),
            Err(error) => {
                tracing::warn!(job.id = %record.job.job_id, %error, "waiting for the app's settings");
                sleep(waits.next().unwrap_or(LONGEST_DELAY)).await;
            }
        }
    }
}

/// Writes the outcome down, so that it will be reported whatever happens from here on.
async fn finish(ctx: &Context, record: Record, after: After) -> Option<Finished> {
    let (outcome, mut output) = match after {
        After::Ended { outcome, output } => (outcome, output),
        After::NeverBegan { problem, output } => {
            (Outcome::Failed(Cause::NotStarted { problem }), output)
        }
        After::Detached => return None,
    };
    output.finish().await;
    if let (Outcome::Completed, Stage::InContainer { image }, Some(ticket)) =
        (&outcome, &record.stage, &record.job.ticket)
        && let Err(error) = ctx.images.remember(ticket.project_id, image)
    {
        let error = error_chain(&error);
        tracing::warn!(error, "the image of the project was not recorded");
    }
    let record = record.at(Stage::Ended { outcome: outcome.clone() });
    if let Err(error) = ctx.ledger.write(&record).await {
        let error = error_chain(&error);
        tracing::error!(job.id = %record.job.job_id, error, "the outcome is kept in memory only");
    }
    tracing::info!(job.id = %record.job.job_id, "job {outcome}");
    Some(Finished { record, outcome, tail: output.tail() })
}

async fn in_container(ctx: &Context, job: &Job, record: Record, output: Output) -> (Record, After) {
    let (problem, mut output) = match start_container(ctx, job, &record).await {
        Ok((started, name)) => {
            tracing::info!(job.id = %job.job_id, container.name = %name, "agent started");
            match watch(ctx, Place::Container(name), output).await {
                After::NeverBegan { problem, output } => (problem, output),
                after => return (started, after),
            }
        }
        Err(error @ LaunchError::StartedBefore) => {
            let outcome = Outcome::Failed(Cause::NotStarted { problem: error.to_string() });
            return (record, After::Ended { outcome, output });
        }
        Err(LaunchError::Ledger(error)) => {
            let problem = error_chain(&error);
            let outcome = Outcome::Failed(Cause::NotRecorded { problem });
            return (record, After::Ended { outcome, output });
        }
        Err(error) => (error_chain(&error), output),
    };
    output.finish().await;
    discard(ctx, &ContainerName::of(job.job_id)).await;
    match ctx.config.host.fallback {
        HostFallback::Never => (record, After::NeverBegan { problem, output }),
        HostFallback::OnStartFailure | HostFallback::Always => {
            on_host(ctx, job, record, output, Some(&problem)).await
        }
    }
}

/// Runs the agent on the host. `no_container` says why a job that was meant for one has none.
async fn on_host(
    ctx: &Context,
    job: &Job,
    record: Record,
    output: Output,
    no_container: Option<&str>,
) -> (Record, After) {
    if ctx.stop.is_cancelled() {
        return (record, After::Detached);
    }
    if let Some(problem) = no_container {
        tracing::warn!(
            job.id = %job.job_id,
            "no container ({problem}): the agent runs on the host, WITHOUT isolation"
        );
    }
    match start_on_host(ctx, job, &record, no_container).await {
        Ok((started, child)) => {
            tracing::info!(job.id = %job.job_id, pid = child.id(), "agent started on the host");
            ctx.host_runs.fetch_add(1, Ordering::Relaxed);
            let after = watch(ctx, Place::Host(child), output).await;
            ctx.host_runs.fetch_sub(1, Ordering::Relaxed);
            (started, after)
        }
        Err(error) => {
            let host = error_chain(&error);
            let problem = match no_container {
                Some(container) => format!("{container}; and on the host: {host}"),
                None => host,
            };
            (record, After::NeverBegan { problem, output })
        }
    }
}

async fn watch(ctx: &Context, place: Place, mut output: Output) -> After {
    let outcome = match place {
        Place::Container(name) => match watch_container(ctx, &name, &mut output).await {
            ContainerEnd::Detached => return After::Detached,
            ContainerEnd::NeverStarted(problem) => return After::NeverBegan { problem, output },
            ContainerEnd::Gone => Outcome::Failed(Cause::ContainerGone),
            ContainerEnd::Exited { facts, output: completeness } => {
                output.finish().await;
                if completeness == Completeness::Whole && !output.runner_may_have_begun() {
                    return without_runner(&facts, output);
                }
                Outcome::of_exit(&facts)
            }
        },
        Place::Host(child) => match watch_host(ctx, child, &mut output).await {
            Ok(HostEnd::Exited(facts)) => Outcome::of_exit(&facts),
            Ok(HostEnd::Stopped) => Outcome::Failed(Cause::Interrupted),
            Err(error) => Outcome::Failed(Cause::Internal { problem: error.to_string() }),
        },
    };
    After::Ended { outcome, output }
}

/// A container that ended, with all its output read and nothing of the runner in it.
fn without_runner(facts: &ExitFacts, output: Output) -> After {
    let said = output.tail();
    let problem = format!(
        "the container ended (exit {}) before the agent began: {}",
        facts.code,
        last_chars(said.trim_end(), SAID_MAX_CHARS)
    );
    if facts.code == 0 {
        // Whatever it was, it did what it was made for: it is not done again.
        let outcome = Outcome::Failed(Cause::NotStarted { problem });
        return After::Ended { outcome, output };
    }
    After::NeverBegan { problem, output }
}

/// The end of a text.
fn last_chars(text: &str, count: usize) -> &str {
    let start = text.char_indices().rev().nth(count.saturating_sub(1));
    &text[start.map_or(0, |(at, _)| at)..]
}

/// Removes a container whose agent never got its document. Where the engine cannot, the clean-up
/// after the report will.
async fn discard(ctx: &Context, name: &ContainerName) {
    if let Err(error) = ctx.engine.remove(name).await {
        tracing::debug!(container.name = %name, %error, "removed later");
    }
}
