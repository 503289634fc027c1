//! Starting an agent on the host itself: for projects that ask for it, and when Docker failed. The
//! agent gets a keeper, which stays with it when the coordinator goes.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use api_client::JobId;
use api_client::wire::{ExecutionMode, Job};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::LaunchError;
use super::document::{DOCUMENT_ON_STDIN, View, job_document, runner_command};
use crate::clock::Moment;
use crate::context::Context;
use crate::job::Keeper;
use crate::ledger::{HostProcess, Record, Stage, make_private_dir};

/// The keeper reads the document at once; one that does not has other trouble.
const DELIVERY: Duration = Duration::from_secs(60);

/// This very program, even when its file was replaced by a newer version.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Starts the keeper of the runner, with an environment built from nothing, and delivers the job
/// document to it. `run_error` says why no container could be had.
pub(crate) async fn start_on_host(
    ctx: &Context,
    job: &Job,
    record: &Record,
    run_error: Option<&str>,
) -> Result<(Record, Keeper), LaunchError> {
    if job.execution_mode == ExecutionMode::Local && job.project_path.is_none() {
        return Err(LaunchError::NoProjectPath);
    }
    let notes = notes(ctx, job.job_id)?;
    let mut child = keeper(ctx, job, &notes)?;
    let pid = child.id().unwrap_or_default().cast_signed();
    let process = HostProcess::of(pid).ok_or(LaunchError::KeeperGone)?;
    let started = record.at(Stage::OnHost {
        keeper: Some(process.clone()),
        notes: Some(notes.clone()),
        began: Moment::now(),
    });
    // Where this fails, the keeper gets no document, and ends by itself.
    ctx.ledger.write(&started).await?;
    let document =
        job_document(record, job, &ctx.config(), View::Host(ctx.alias), run_error).to_stdin();
    if let Some(mut input) = child.stdin.take() {
        let written = timeout(DELIVERY, input.write_all(document.expose().as_bytes())).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!(job.id = %job.job_id, "the keeper did not take the job document");
        }
    }
    Ok((started, Keeper { dir: notes, process: Some(process) }))
}

/// A folder for one keeper's notes. A keeper of an earlier try, whose coordinator was killed, may
/// still be about to write that it got no document: it must not be heard as this one.
fn notes(ctx: &Context, job: JobId) -> Result<PathBuf, LaunchError> {
    let of_job = ctx.host_dir(job);
    let _absent = fs::remove_dir_all(&of_job);
    let notes = of_job.join(format!("{:08x}", fastrand::u32(..)));
    make_private_dir(&notes)?;
    Ok(notes)
}

fn keeper(ctx: &Context, job: &Job, dir: &Path) -> Result<Child, LaunchError> {
    let config = ctx.config();
    let (name, value) = DOCUMENT_ON_STDIN;
    let failed = |source| LaunchError::Keeper { source };
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    let complaints = options.open(dir.join("keeper.err")).map_err(failed)?;
    Command::new(THIS_PROGRAM)
        .arg0("coordinator")
        .arg("keep")
        .arg("--dir")
        .arg(dir)
        .arg("--log")
        .arg(ctx.log_path(job.job_id))
        .arg("--grace-ms")
        .arg(config.limits.stop_grace.as_millis().to_string())
        .arg("--")
        .arg(&config.host.runner)
        .args(runner_command(job))
        .env_clear()
        .envs(&config.host.environment)
        .env(name, value)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(complaints)
        .spawn()
        .map_err(failed)
}
