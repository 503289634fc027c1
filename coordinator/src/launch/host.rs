//! Starting an agent on the host itself: for projects that ask for it, and when Docker failed.

use std::process::Stdio;
use std::time::Duration;

use api_client::wire::{ExecutionMode, Job};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::LaunchError;
use super::document::{DOCUMENT_ON_STDIN, View, job_document, runner_command};
use crate::context::Context;
use crate::ledger::{Record, Stage};

/// The runner reads its document at once; one that does not has other trouble.
const DELIVERY: Duration = Duration::from_secs(60);

/// Starts the runner as a process group of its own, with an environment built from nothing, and
/// delivers the job document to it. `run_error` says why no container could be had.
pub(crate) async fn start_on_host(
    ctx: &Context,
    job: &Job,
    record: &Record,
    run_error: Option<&str>,
) -> Result<(Record, Child), LaunchError> {
    if job.execution_mode == ExecutionMode::Local && job.project_path.is_none() {
        return Err(LaunchError::NoProjectPath);
    }
    let program = &ctx.config.host.runner;
    let (name, value) = DOCUMENT_ON_STDIN;
    let spawned = Command::new(program)
        .args(runner_command(job))
        .env_clear()
        .envs(&ctx.config.host.environment)
        .env(name, value)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let failed = |source| LaunchError::Program { program: program.display().to_string(), source };
    let mut child = spawned.map_err(failed)?;
    let started = record.at(Stage::OnHost { pid: child.id().unwrap_or_default() });
    if let Err(error) = ctx.ledger.write(&started).await {
        // Without its document the runner ends by itself; it is not waited for here.
        drop(child.stdin.take());
        return Err(error.into());
    }
    let document = job_document(job, &ctx.config, View::Host(ctx.alias), run_error).to_stdin();
    if let Some(mut input) = child.stdin.take() {
        let written = timeout(DELIVERY, input.write_all(document.expose().as_bytes())).await;
        if !matches!(written, Ok(Ok(()))) {
            // It ended already, or will for want of a whole document: its exit code says why.
            tracing::warn!(job.id = %job.job_id, "the agent did not take its job document");
        }
    }
    Ok((started, child))
}
