//! `install`: the packages on a machine with a real systemd, and the pages for somebody new.

#![expect(clippy::print_stdout, reason = "what it tells its caller")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use integration_tests::harness::Engine;
use integration_tests::install::{Packages, Part, Versions, run};

/// Installs, restarts, hangs, upgrades and purges the packages while jobs run, and does what the pages say. The
/// exit code is 1 where something is not right.
#[derive(Debug, Parser)]
struct Arguments {
    /// The .deb that is installed first.
    #[arg(long)]
    deb: PathBuf,
    /// The .deb that it is upgraded to.
    #[arg(long)]
    newer_deb: PathBuf,
    /// The .rpm that is installed first.
    #[arg(long)]
    rpm: PathBuf,
    /// The .rpm that it is upgraded to.
    #[arg(long)]
    newer_rpm: PathBuf,
    /// One part and no other.
    #[arg(long)]
    only: Option<Part>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let packages = Packages {
        deb: Versions { first: arguments.deb, second: arguments.newer_deb },
        rpm: Versions { first: arguments.rpm, second: arguments.newer_rpm },
    };
    let only = arguments.only.as_ref().map(std::slice::from_ref);
    let Some(engine) = Engine::or_skip().await else { return ExitCode::SUCCESS };
    let report = run(&engine, &packages, only.unwrap_or(Part::value_variants())).await;
    println!("{report}");
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
