#![doc = include_str!("../README.md")]

mod activity;
mod adopt;
mod alias;
mod board;
mod breaker;
mod breakers;
mod check;
mod claim;
mod cli;
mod clock;
mod collect;
mod config;
mod confine;
mod context;
mod control;
mod daemon;
mod engine;
mod folder_size;
mod forge_token;
mod gate;
mod github_app;
mod headroom;
mod history;
mod home_engine;
mod housekeeping;
mod identity;
mod images;
mod job;
mod keeper;
mod launch;
mod lease;
mod ledger;
mod logging;
mod notify;
mod operate;
mod outcome;
mod output;
mod process;
mod pulls;
mod readiness;
mod registry_login;
mod report;
mod resume;
mod rotation;
mod shutdown;
mod signals;
mod slot;
mod supervise;
mod unknown;
mod verdict;
mod work;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use api_client::error_chain;
use clap::Parser;

use crate::cli::{
    Action, Check, Cli, ConfineArguments, Drain, Gc, Jobs, KeepArguments, Plain, Run, Show,
    ShowConfig,
};
use crate::config::{Environment, Flags, Form, Loaded};
use crate::confine::{Confine, Ids, NOT_CONFINED};
use crate::context::Mode;
use crate::control::{ControlError, Request};
use crate::daemon::Daemon;
use crate::housekeeping::Deed;
use crate::keeper::Keep;
use crate::operate::OperateError;
use crate::shutdown::Impatient;
use crate::signals::{StopSignals, reload_on_hangup};

/// The coordinator could not do what it was asked for.
const FAILURE: u8 = 1;
/// The configuration is wrong.
const MISCONFIGURED: u8 = 2;
/// No coordinator runs that could be asked.
const NOT_RUNNING: u8 = 3;
/// The job of `run --once` failed, and was reported so.
const JOB_FAILED: u8 = 4;

const IMPATIENT: &str = "stopped by a further signal; what was left is taken up at the next start";

fn main() -> ExitCode {
    let done = match Cli::parse().action {
        Action::Run(arguments) => run(&arguments),
        Action::Status(arguments) => block_on(show_status(&arguments)),
        Action::Jobs(arguments) => show_jobs(&arguments),
        Action::Pause(arguments) => block_on(command(&arguments, Request::Pause)),
        Action::Resume(arguments) => block_on(command(&arguments, Request::Resume)),
        Action::Drain(arguments) => block_on(drain(&arguments)),
        Action::Gc(arguments) => block_on(gc(&arguments)),
        Action::Check(arguments) => block_on(check(&arguments)),
        Action::Keep(arguments) => block_on(keep(arguments)),
        Action::Confine(arguments) => Err(confine(arguments)),
        Action::Config(arguments) => show_config(&arguments),
        Action::Version => {
            say(concat!("coordinator ", env!("CARGO_PKG_VERSION")));
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|failure| {
        complain(&failure.message);
        ExitCode::from(failure.code)
    })
}

/// What is said at the end, and the exit code.
struct Failure {
    code: u8,
    message: String,
}

fn run(arguments: &Run) -> Result<ExitCode, Failure> {
    // An agent on this host may be of the same user: it is not to read the environment or the memory.
    nix::sys::prctl::set_dumpable(false).map_err(|error| failure(&error))?;
    let Loaded { config, notices, .. } = load(&arguments.settings)?;
    let log = logging::init(&config.log).map_err(|error| failure(&error))?;
    for notice in notices {
        tracing::warn!("{notice}");
    }
    let mode = if arguments.once { Mode::Once } else { Mode::Forever };
    let failed = block_on(async {
        let (shutdown, grace) = (config.shutdown.clone(), config.limits.stop_grace);
        let daemon = Daemon::new(config, mode).map_err(|error| failure(&error))?;
        let ctx = daemon.context();
        let mut signals = StopSignals::new().map_err(|error| failure(&error))?;
        tokio::select! {
            done = daemon.run() => done.map_err(|error| failure(&error)),
            Impatient = ctx.shutdown.direct(&shutdown, grace, async || signals.next().await) => {
                Err(failure(&io::Error::other(IMPATIENT)))
            }
            failed = reload_on_hangup(Arc::clone(&ctx), &arguments.settings, &log) => match failed {
                Ok(never) => match never {},
                Err(error) => Err(failure(&error)),
            },
        }
    })?;
    Ok(if mode == Mode::Once && failed > 0 { JOB_FAILED.into() } else { ExitCode::SUCCESS })
}

/// What is being written when everything else has ended may take this long; a disk that hangs is not
/// waited for.
const LAST_WRITES: Duration = Duration::from_millis(200);

/// One thread: the work is waiting, and idle memory counts on a build host.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failure(&error))?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WRITES);
    done
}

async fn show_status(arguments: &Show) -> Result<ExitCode, Failure> {
    let status = operate::status(&state_dir(&arguments.settings)?)
        .await
        .map_err(|error| operated(&error))?;
    let json = arguments.json;
    say(&if json { operate::status_json(&status) } else { operate::status_text(&status) });
    Ok(ExitCode::SUCCESS)
}

fn show_jobs(arguments: &Jobs) -> Result<ExitCode, Failure> {
    let state_dir = state_dir(&arguments.settings)?;
    let jobs =
        operate::ended_jobs(&state_dir, arguments.limit).map_err(|error| operated(&error))?;
    let json = arguments.json;
    say(&if json { operate::jobs_json(&jobs) } else { operate::jobs_text(&jobs, clock::now()) });
    Ok(ExitCode::SUCCESS)
}

async fn command(arguments: &Plain, request: Request) -> Result<ExitCode, Failure> {
    operate::command(&state_dir(&arguments.settings)?, request)
        .await
        .map_err(|error| operated(&error))?;
    Ok(ExitCode::SUCCESS)
}

async fn drain(arguments: &Drain) -> Result<ExitCode, Failure> {
    let state_dir = state_dir(&arguments.settings)?;
    operate::command(&state_dir, Request::Drain).await.map_err(|error| operated(&error))?;
    if !arguments.no_wait {
        let tell = |progress: String| say(&progress);
        operate::wait_until_drained(&state_dir, tell).await.map_err(|error| operated(&error))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn gc(arguments: &Gc) -> Result<ExitCode, Failure> {
    let deed = if arguments.dry_run { Deed::Show } else { Deed::Remove };
    let swept = operate::gc(&arguments.settings, deed).await.map_err(|error| operated(&error))?;
    say(&if arguments.json {
        operate::swept_json(&swept)
    } else {
        operate::swept_text(&swept, deed)
    });
    Ok(if swept.failed.is_empty() { ExitCode::SUCCESS } else { FAILURE.into() })
}

async fn check(arguments: &Check) -> Result<ExitCode, Failure> {
    let findings = operate::check(&arguments.settings).await.map_err(|error| operated(&error))?;
    say(&if arguments.json { check::json(&findings) } else { check::text(&findings) });
    Ok(if check::all_well(&findings) { ExitCode::SUCCESS } else { FAILURE.into() })
}

async fn keep(arguments: KeepArguments) -> Result<ExitCode, Failure> {
    let KeepArguments { dir, log, grace_ms, command } = arguments;
    let order = Keep { dir, log, grace: Duration::from_millis(grace_ms), command };
    keeper::keep(&order).await.map_err(|error| failure(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// Comes back only to say why no agent was begun.
fn confine(arguments: ConfineArguments) -> Failure {
    let ConfineArguments { temporary, seen, uid, gid, group, files, processes, command } =
        arguments;
    let user = uid.zip(gid).map(|(uid, gid)| Ids { uid, gid, groups: group });
    let order = Confine { temporary, seen, user, files, processes, command };
    let error = confine::confine(&order, complain);
    Failure { code: NOT_CONFINED, message: error_chain(&error) }
}

fn state_dir(flags: &Flags) -> Result<PathBuf, Failure> {
    operate::state_dir(flags).map_err(|error| operated(&error))
}

fn operated(error: &OperateError) -> Failure {
    let code = match error {
        OperateError::Config(_) => MISCONFIGURED,
        OperateError::Control(ControlError::NotRunning { .. }) => NOT_RUNNING,
        _ => FAILURE,
    };
    Failure { code, message: error_chain(error) }
}

fn show_config(arguments: &ShowConfig) -> Result<ExitCode, Failure> {
    let loaded = load(&arguments.settings)?;
    let form = if arguments.json { Form::Json } else { Form::Text };
    say(&config::print(&loaded.report, form));
    for notice in loaded.notices {
        complain(&notice);
    }
    Ok(ExitCode::SUCCESS)
}

fn load(flags: &Flags) -> Result<Loaded, Failure> {
    config::load(flags, &Environment::from_process())
        .map_err(|errors| Failure { code: MISCONFIGURED, message: errors.to_string() })
}

fn failure(error: &dyn std::error::Error) -> Failure {
    Failure { code: FAILURE, message: error_chain(error) }
}

fn say(text: &str) {
    // A reader that has gone away has read enough.
    let _read = writeln!(io::stdout(), "{text}");
}

#[expect(clippy::print_stderr, reason = "the log may not be set up")]
fn complain(text: &str) {
    eprintln!("coordinator: {text}");
}
