//! `install`: the packages on a machine with a real systemd.

#![expect(clippy::print_stdout, reason = "what it tells its caller")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use integration_tests::harness::Engine;
use integration_tests::install::{Packages, run};

/// Installs, restarts, hangs, upgrades and purges the package while jobs run. The exit code is 1 where
/// something is not right.
#[derive(Debug, Parser)]
struct Arguments {
    /// The package that is installed first.
    #[arg(long, value_name = "DEB")]
    first: PathBuf,
    /// The package that it is upgraded to.
    #[arg(long, value_name = "DEB")]
    second: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { first, second } = Arguments::parse();
    let Some(engine) = Engine::or_skip().await else { return ExitCode::SUCCESS };
    let report = run(&engine, &Packages { first, second }).await;
    println!("{report}");
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
