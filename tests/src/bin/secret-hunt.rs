//! `secret-hunt`: looks for every secret of a real job in the places where no secret may be.

#![expect(clippy::print_stdout, reason = "what it tells its caller")]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use integration_tests::harness::{DockerMode, Engine};
use integration_tests::hunt::{Found, Place, hunt, hunt_planted};

/// Runs a job in each Docker mode, with the agent's real image, and looks for its secrets while it
/// runs and when it is over. The last line is "modes=M places=12 hits=N"; the exit code is 1 where
/// anything was found that docs/security.md does not name.
#[derive(Debug, Parser)]
struct Arguments {
    /// The modes to try.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = DockerMode::ALL)]
    modes: Vec<DockerMode>,
    /// The agent's image.
    #[arg(long, default_value = "terarchitect-agent")]
    image: String,
    /// Plant a secret in each place, and look whether all of them are found.
    #[arg(long)]
    plant: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(engine) = Engine::or_skip().await else { return ExitCode::SUCCESS };
    let (mut hits, mut wrong, mut missed) = (0, 0, 0);
    for mode in &arguments.modes {
        let begun = Instant::now();
        let found = match arguments.plant {
            true => hunt_planted(&engine, &arguments.image, *mode).await,
            false => hunt(&engine, &arguments.image, *mode).await,
        };
        tell(&found, begun);
        hits += found.hits.len();
        missed += found.missed.len();
        wrong += found.problems.len() + usize::from(!tell_reach(&found));
    }
    let (modes, places) = (arguments.modes.len(), Place::ALL.len());
    if arguments.plant {
        println!("modes={modes} places={places} planted={} missed={missed}", modes * places);
    } else {
        println!("modes={modes} places={places} hits={hits}");
    }
    if hits + wrong + missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(found: &Found, begun: Instant) {
    let mode = found.mode;
    for hit in &found.hits {
        println!("{hit}");
    }
    for problem in &found.problems {
        println!("problem: {problem}");
    }
    for place in &found.missed {
        println!(
            "missed: mode={mode} place={}: what was planted there was not found",
            place.name()
        );
    }
    let looked: Vec<String> = found
        .looked
        .iter()
        .map(|(place, looked)| format!("{} {}", place.name(), looked.items))
        .collect();
    println!("{mode}: {:.1} s; looked at: {}", begun.elapsed().as_secs_f64(), looked.join(", "));
}

/// What a worker got through its engine; whether that is what the documentation says.
fn tell_reach(found: &Found) -> bool {
    let documented = &found.documented;
    if &found.reached == documented {
        if !documented.is_empty() {
            println!(
                "{}: a worker gets {} secrets through its engine, as documented",
                found.mode,
                documented.len()
            );
        }
        return true;
    }
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let (reached, documented) = (list(&found.reached), list(documented));
    println!(
        "problem: mode={} a worker gets through its engine: {reached}; documented: {documented}",
        found.mode
    );
    false
}
