#![doc = include_str!("../README.md")]

mod adopt;
mod alias;
mod claim;
mod cli;
mod clock;
mod config;
mod context;
mod daemon;
mod engine;
mod identity;
mod images;
mod job;
mod launch;
mod ledger;
mod logging;
mod notify;
mod outcome;
mod output;
mod readiness;
mod report;
mod rotation;
mod slot;
mod supervise;
mod work;

use std::io::{self, Write};
use std::process::ExitCode;

use api_client::error_chain;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::{Action, Cli, Run, ShowConfig};
use crate::config::{Environment, Flags, Form, Loaded};
use crate::context::Mode;
use crate::daemon::Daemon;

/// The coordinator could not do what it was asked for.
const FAILURE: u8 = 1;
/// The configuration is wrong.
const MISCONFIGURED: u8 = 2;
/// The job of `run --once` failed, and was reported so.
const JOB_FAILED: u8 = 4;

fn main() -> ExitCode {
    let done = match Cli::parse().action {
        Action::Run(arguments) => run(&arguments),
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
    let Loaded { config, notices, .. } = load(&arguments.settings)?;
    logging::init(&config.log).map_err(|error| failure(&error))?;
    for notice in notices {
        tracing::warn!("{notice}");
    }
    let mode = if arguments.once { Mode::Once } else { Mode::Forever };
    // One thread: the work is waiting, and idle memory counts on a build host.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = runtime.map_err(|error| failure(&error))?.block_on(async {
        let stop = CancellationToken::new();
        let daemon = Daemon::new(config, mode, stop.clone()).map_err(|error| failure(&error))?;
        tokio::select! {
            done = daemon.run() => done.map_err(|error| failure(&error)),
            impatient = stop_on_signals(stop) => Err(failure(&impatient)),
        }
    })?;
    Ok(if mode == Mode::Once && failed > 0 { JOB_FAILED.into() } else { ExitCode::SUCCESS })
}

/// The first signal stops the daemon in order; the second ends the wait for that.
async fn stop_on_signals(stop: CancellationToken) -> io::Error {
    let signals = || Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
    let (mut terminate, mut interrupt) = match signals() {
        Ok(signals) => signals,
        Err(error) => return error,
    };
    for _ in 0..2 {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    }
    io::Error::other("stopped by a second signal; what was left is taken up at the next start")
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
