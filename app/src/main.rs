//! `terarchitect-app`: an embedded stand-in for the ticket app, and the commands to use it.
//!
//! Invariants: `serve` answers the worker API of the original app with the same paths, statuses and
//! JSON, and what it adds is optional for its callers; the commands reach their data through that
//! server alone; `store` holds all SQL and never imports axum; `queue` and `review::decision` are pure;
//! a forge is only ever read.

mod auth;
mod body;
mod cancel;
mod cli;
mod clock;
mod command;
mod config;
mod context;
mod dollars;
mod embedding;
mod error;
mod forge;
mod lease;
mod memory;
mod model;
mod output;
mod queue;
mod receive;
mod remote;
mod report;
mod review;
mod router;
mod routes;
mod serve;
mod setting;
mod state;
mod store;
mod sweep;
mod vector;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use api_client::error_chain;
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};
use crate::command::CommandError;
use crate::config::{ConfigError, Environment, ServeConfig};
use crate::serve::ServeError;

const FAILURE: u8 = 1;
const USAGE: u8 = 2;

/// One connection to the database, so more threads would only wait; the other is for name look-ups.
const BLOCKING_THREADS: usize = 2;

#[derive(Debug, thiserror::Error)]
enum MainError {
    #[error("cannot start the async runtime")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl MainError {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => USAGE,
            Self::Command(error) if error.is_usage() => USAGE,
            Self::Runtime(_) | Self::Serve(_) | Self::Command(_) => FAILURE,
        }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error_chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: Command) -> Result<(), MainError> {
    let environment = Environment::read();
    log_to_stderr(environment.log_filter.as_deref());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(MainError::Runtime)?;
    runtime.block_on(async {
        if let Command::Serve(args) = command {
            let config = ServeConfig::resolve(args, environment)?;
            return Ok(serve::serve(config).await?);
        }
        Ok(command::run(command, environment).await?)
    })
}

fn log_to_stderr(filter: Option<&str>) {
    let filter = filter.map_or_else(|| EnvFilter::new("info"), EnvFilter::new);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}
