//! The life of one job from its claim to its outcome on disk: launch, supervise, outcome. The
//! decision to fall back to the host is taken here and nowhere else.

use api_client::error_chain;
use api_client::wire::{ExecutionMode, Job};

use crate::config::HostFallback;
use crate::context::Context;
use crate::engine::ContainerName;
use crate::job::{Claimed, Finished, Place, Running};
use crate::launch::{LaunchError, start_container, start_on_host};
use crate::ledger::{Record, Stage};
use crate::outcome::{Cause, Outcome};
use crate::output::Output;
use crate::supervise::{Completeness, ContainerEnd, HostEnd, watch_container, watch_host};

/// How much of the last words of a container becomes part of an outcome, in characters.
const SAID_MAX_CHARS: usize = 2_000;

/// Where a job stands after its agent was watched.
#[derive(Debug)]
pub(crate) enum After {
    /// It ended, with this outcome.
    Ended { outcome: Outcome, output: Output },
    /// The container ended before the runner in it began.
    NeverBegan { problem: String, output: Output },
    /// The coordinator stops and the container goes on.
    Detached,
}

/// Runs a claimed job. Nothing is returned when its container was left running for the next start.
pub(crate) async fn carry_out(ctx: &Context, claimed: Claimed) -> Option<Finished> {
    let Claimed { job, record, slot } = claimed;
    let output = Output::open(ctx.log_path(job.job_id), &ctx.redactor(Some(&job))).await;
    let (record, after) = match job.execution_mode {
        ExecutionMode::Local => on_host(ctx, &job, record, output, None).await,
        ExecutionMode::Docker => in_container(ctx, &job, record, output).await,
    };
    let finished = finish(ctx, record, after).await;
    drop(slot);
    finished
}

/// Watches a job whose container an earlier coordinator started.
pub(crate) async fn carry_on(ctx: &Context, running: Running) -> Option<Finished> {
    let Running { record, slot, output, place } = running;
    let after = watch(ctx, place, output).await;
    let finished = finish(ctx, record, after).await;
    drop(slot);
    finished
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
    if let (Outcome::Completed, Stage::InContainer { image, .. }, Some(ticket)) =
        (&outcome, &record.stage, &record.job.ticket)
        && let Err(error) = ctx.images.remember(ticket.project_id, image)
    {
        tracing::warn!(%error, "the image of the project was not recorded");
    }
    let record = record.at(Stage::Ended { outcome: outcome.clone() });
    if let Err(error) = ctx.ledger.write(&record).await {
        tracing::error!(job.id = %record.job.job_id, %error, "the outcome is kept in memory only");
    }
    tracing::info!(job.id = %record.job.job_id, "job {outcome}");
    Some(Finished { record, outcome, tail: output.tail() })
}

async fn in_container(
    ctx: &Context,
    job: &Job,
    record: Record,
    mut output: Output,
) -> (Record, After) {
    let problem = match start_container(ctx, job, &record).await {
        Ok((started, name)) => {
            tracing::info!(job.id = %job.job_id, container.name = %name, "agent started");
            match watch(ctx, Place::Container(name), output).await {
                After::NeverBegan { problem, output: so_far } => {
                    output = so_far;
                    problem
                }
                after => return (started, after),
            }
        }
        Err(LaunchError::StartedBefore) => {
            let problem = LaunchError::StartedBefore.to_string();
            let outcome = Outcome::Failed(Cause::NotStarted { problem });
            return (record, After::Ended { outcome, output });
        }
        Err(LaunchError::Ledger(error)) => {
            let outcome = Outcome::Failed(Cause::NotRecorded { problem: error.to_string() });
            return (record, After::Ended { outcome, output });
        }
        Err(error) => error_chain(&error),
    };
    output.finish().await;
    discard(ctx, &ContainerName::of(job.job_id)).await;
    match ctx.config.host.fallback {
        HostFallback::Never => (record, After::NeverBegan { problem, output }),
        HostFallback::OnStartFailure | HostFallback::Always => {
            tracing::warn!(
                job.id = %job.job_id,
                "no container ({problem}): the agent runs on the host, WITHOUT isolation"
            );
            on_host(ctx, job, record, output, Some(&problem)).await
        }
    }
}

async fn on_host(
    ctx: &Context,
    job: &Job,
    record: Record,
    output: Output,
    run_error: Option<&str>,
) -> (Record, After) {
    match start_on_host(ctx, job, &record, run_error).await {
        Ok((started, child)) => {
            tracing::info!(job.id = %job.job_id, pid = child.id(), "agent started on the host");
            (started, watch(ctx, Place::Host(child), output).await)
        }
        Err(error) => {
            let host = error_chain(&error);
            let problem = run_error.map_or_else(
                || host.clone(),
                |container| format!("{container}; and on the host: {host}"),
            );
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
                    let problem = format!(
                        "the container ended (exit {}) before the agent began: {}",
                        facts.code,
                        last_chars(&output.tail(), SAID_MAX_CHARS)
                    );
                    return After::NeverBegan { problem, output };
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
