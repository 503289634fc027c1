//! `docker-modes`: shows Docker in each of the agent's modes, with two jobs at once.
//!
//! Run it by `tests/modes`. Its last line is the count; it fails at the first thing that is not as it
//! has to be.

#![expect(clippy::print_stdout, reason = "what it prints is its purpose")]

use std::process::ExitCode;

use clap::Parser;
use integration_tests::harness::{DockerMode, Engine};
use integration_tests::modes::{Scope, Shown, show, show_kept};

/// Runs jobs in each Docker mode whose workers build an image and run a container, two at once with the
/// same name and port, and compares this host before and after.
#[derive(Debug, Parser)]
struct Arguments {
    /// The modes to try.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = DockerMode::ALL)]
    modes: Vec<DockerMode>,
    /// The agent's image.
    #[arg(long, default_value = "terarchitect-agent")]
    image: String,
    /// Compare everything on this host before and after, not only what bears a mark of the jobs: nothing
    /// else may use it meanwhile.
    #[arg(long)]
    whole_host: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(engine) = Engine::or_skip().await else { return ExitCode::SUCCESS };
    let scope = if arguments.whole_host { Scope::WholeHost } else { Scope::Jobs };
    for mode in &arguments.modes {
        tell(&show(&engine, &arguments.image, *mode, scope).await);
        if mode.has_engine() && *mode != DockerMode::Dood {
            tell(&show_kept(&engine, &arguments.image, *mode, scope).await);
        }
    }
    println!("modes={} shown, nothing left", arguments.modes.len());
    ExitCode::SUCCESS
}

fn tell(shown: &Shown) {
    for fact in &shown.facts {
        println!("{}: {fact}", shown.mode);
    }
    println!("{}: {:.1} s", shown.mode, shown.took.as_secs_f64());
}
