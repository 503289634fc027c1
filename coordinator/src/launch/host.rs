//! Starting an agent on the host itself: for projects that ask for it, and when Docker failed. The
//! agent gets a keeper, which stays with it when the coordinator goes.
//!
//! The way is: `systemd-run` (where a scope can be had) becomes the keeper, which starts the process
//! that [`confine`](mod@crate::confine) becomes the agent from. Nothing secret is on a command line.

mod scope;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use api_client::JobId;
use api_client::contract::env;
use api_client::wire::{ExecutionMode, Job};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::LaunchError;
use super::document::{DOCUMENT_ON_STDIN, View, job_document, runner_command};
use crate::clock::Moment;
use crate::config::{Config, ContainerLimits, HostScope, HostUser};
use crate::context::Context;
use crate::forge_token::{ForgeToken, SOCKET_IN_TEMPORARY};
use crate::job::Keeper;
use crate::keeper::{TEMPORARY, remove_notes, unit_of};
use crate::ledger::{Happened, HostProcess, Record, Stage, make_private_dir};
pub(crate) use scope::not_bounded;
use scope::{NoScope, Scope};

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
    token: Option<&ForgeToken>,
    run_error: Option<&str>,
) -> Result<(Record, Keeper), LaunchError> {
    if job.execution_mode == ExecutionMode::Local && job.project_path.is_none() {
        return Err(LaunchError::NoProjectPath);
    }
    let config = ctx.config();
    let limits = &config.agent_for(job.project_id).limits;
    let place = scope(&config, limits).await;
    tell_what_is_not_bounded(job.job_id, limits, &place, &config);
    let notes = notes(ctx, job.job_id).await?;
    let mut child = keeper(ctx, job, &notes, &place)?;
    let pid = child.id().unwrap_or_default().cast_signed();
    let process = HostProcess::of(pid).ok_or(LaunchError::KeeperGone)?;
    let started = record.clone().noted(Happened::OnHost).at(Stage::OnHost {
        keeper: Some(process.clone()),
        notes: Some(notes.clone()),
        began: Moment::now(),
    });
    // Where this fails, the keeper gets no document, and ends by itself.
    ctx.ledger.write(&started).await?;
    let mut document = job_document(record, job, &config, View::Host(ctx.alias), run_error);
    if let Some(token) = token {
        token.put_into(&mut document, Path::new(SOCKET_IN_TEMPORARY));
    }
    let document = document.to_stdin();
    if let Some(mut input) = child.stdin.take() {
        let written = timeout(DELIVERY, input.write_all(document.expose().as_bytes())).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!(job.id = %job.job_id, "the keeper did not take the job document");
        }
    }
    Ok((started.noted(Happened::Delivered), Keeper { dir: notes, process: Some(process) }))
}

/// The scope that an agent gets. It is tried first each time: one that is refused when the keeper is
/// started costs the job.
pub(crate) async fn scope(config: &Config, limits: &ContainerLimits) -> Result<Scope, NoScope> {
    match config.host.scope {
        HostScope::Off => Err(NoScope::Off),
        HostScope::Auto => Scope::of_this_host(limits, &config.host.environment).await,
    }
}

fn tell_what_is_not_bounded(
    job: JobId,
    limits: &ContainerLimits,
    place: &Result<Scope, NoScope>,
    config: &Config,
) {
    let open = not_bounded(limits, place.as_ref().ok(), config.host.user.as_ref());
    if open.is_empty() {
        return;
    }
    let why = match place {
        Ok(_) => "systemd has no controller for them here".to_owned(),
        Err(why) => format!("no systemd scope: {why}"),
    };
    tracing::warn!(job.id = %job, "not bounded for this agent on the host: {} ({why})", open.join(", "));
}

/// A folder for one keeper's notes, and one in it for the agent's temporary files. A keeper of an
/// earlier try, whose coordinator was killed, may still be about to write that it got no document: it
/// must not be heard as this one.
async fn notes(ctx: &Context, job: JobId) -> Result<PathBuf, LaunchError> {
    let of_job = ctx.host_dir(job);
    let left = of_job.clone();
    let _removed = tokio::task::spawn_blocking(move || remove_notes(&left)).await;
    let notes = of_job.join(format!("{:08x}", fastrand::u32(..)));
    make_private_dir(&notes)?;
    let temporary = notes.join(TEMPORARY);
    let failed = |source| LaunchError::Keeper { source };
    fs::create_dir(&temporary).map_err(failed)?;
    // As /tmp has it. No one else gets through the folders above it.
    fs::set_permissions(&temporary, Permissions::from_mode(0o1777)).map_err(failed)?;
    Ok(notes)
}

fn keeper(
    ctx: &Context,
    job: &Job,
    dir: &Path,
    place: &Result<Scope, NoScope>,
) -> Result<Child, LaunchError> {
    let config = ctx.config();
    let (name, value) = DOCUMENT_ON_STDIN;
    let failed = |source| LaunchError::Keeper { source };
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    let complaints = options.open(dir.join("keeper.err")).map_err(failed)?;
    let limits = &config.agent_for(job.project_id).limits;
    let mut command = match &place {
        Ok(scope) => scope.command(&unit_of(dir), limits),
        Err(_) => {
            let mut command = Command::new(THIS_PROGRAM);
            command.arg0("coordinator");
            command
        }
    };
    command
        .arg("keep")
        .arg("--dir")
        .arg(dir)
        .arg("--log")
        .arg(ctx.log_path(job.job_id))
        .arg("--grace-ms")
        .arg(config.limits.stop_grace.as_millis().to_string())
        .arg("--")
        .args(confined(&config, job, dir, limits, place.is_ok()))
        .arg(&config.host.runner)
        .args(runner_command(job))
        .env_clear()
        .envs(&config.host.environment)
        .envs(config.host.user.iter().flat_map(of_user))
        .envs(place.iter().filter_map(Scope::environment))
        .env(name, value)
        .env(env::AGENT_ON_HOST, "1")
        .envs(config.agent_for(job.project_id).log.environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(complaints)
        .spawn()
        .map_err(failed)
}

/// The process that becomes the agent, with what it gives up before.
fn confined(
    config: &Config,
    job: &Job,
    dir: &Path,
    limits: &ContainerLimits,
    in_scope: bool,
) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec![THIS_PROGRAM.into(), "confine".into()];
    let mut option = |name: &str, value: &OsStr| words.extend([name.into(), value.to_owned()]);
    option("--temporary", dir.join(TEMPORARY).as_os_str());
    for path in seen(config, job) {
        option("--seen", path.as_os_str());
    }
    if let Some(files) = limits.nofile {
        option("--files", files.to_string().as_ref());
    }
    if let Some(user) = &config.host.user {
        option("--uid", user.uid.to_string().as_ref());
        option("--gid", user.gid.to_string().as_ref());
        for group in &user.groups {
            option("--group", group.to_string().as_ref());
        }
        // The kernel counts them for a user, not for a job.
        if let Some(pids) = limits.pids.filter(|_| !in_scope) {
            option("--processes", pids.to_string().as_ref());
        }
    }
    words.push("--".into());
    words
}

/// What the agent must find where it is: its project, its program, its home, and what its
/// environment names.
fn seen(config: &Config, job: &Job) -> BTreeSet<PathBuf> {
    let environment = config.host.environment.iter().filter(|(name, _)| *name != "TMPDIR");
    let named = environment.flat_map(|(_, value)| std::env::split_paths(value));
    let home = config.host.user.iter().map(|user| user.home.clone());
    let paths = [config.host.runner.clone()].into_iter().chain(job.project_path.clone());
    paths.chain(named).chain(home).filter(|path| path.is_absolute()).collect()
}

/// What the environment says of a user, for another one.
fn of_user(user: &HostUser) -> [(&'static str, OsString); 4] {
    [
        ("HOME", user.home.clone().into()),
        ("USER", user.name.clone().into()),
        ("LOGNAME", user.name.clone().into()),
        ("SHELL", user.shell.clone().into()),
    ]
}
