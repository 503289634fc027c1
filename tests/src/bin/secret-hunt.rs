//! `secret-hunt`: looks for every secret of a real job in the places where no secret may be.

#![expect(clippy::print_stdout, reason = "what it tells its caller")]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use integration_tests::harness::Engine;
use integration_tests::hunt::{Found, Place, Scene, hunt};

/// Runs a job in each deployment, with the agent's real image, and looks for its secrets while it runs
/// and when it is over. The last line is "modes=M places=12 hits=N"; the exit code is 1 where anything
/// was found that docs/security.md does not name, or something planted was not found.
#[derive(Debug, Parser)]
struct Arguments {
    /// The deployments to try: the five modes, and what changes where secrets go.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Scene::ALL)]
    scenes: Vec<Scene>,
    /// The agent's image.
    #[arg(long, default_value = "terarchitect-agent")]
    image: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(engine) = Engine::or_skip().await else { return ExitCode::SUCCESS };
    let (mut hits, mut wrong, mut planted) = (0, 0, 0);
    for scene in &arguments.scenes {
        let begun = Instant::now();
        let found = hunt(&engine, &arguments.image, *scene).await;
        tell(&found, begun);
        hits += found.hits.len();
        planted += found.looked.len();
        wrong += found.missed.len() + found.problems.len() + usize::from(!tell_reach(&found));
    }
    println!("{planted} secrets were planted to be found; {wrong} problems");
    let modes = arguments.scenes.iter().filter(|scene| scene.is_a_mode()).count();
    println!("modes={modes} places={} hits={hits}", Place::ALL.len());
    if hits + wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(found: &Found, begun: Instant) {
    let scene = found.scene;
    for hit in &found.hits {
        println!("{hit}");
    }
    for problem in &found.problems {
        println!("problem: scene={scene} {problem}");
    }
    for place in &found.missed {
        println!(
            "problem: scene={scene} place={}: what was planted there was not found",
            place.name()
        );
    }
    let looked: Vec<String> = found
        .looked
        .iter()
        .map(|(place, looked)| format!("{} {}", place.name(), looked.items))
        .collect();
    println!("{scene}: {:.1} s; looked at: {}", begun.elapsed().as_secs_f64(), looked.join(", "));
}

/// What a worker got from its runner; whether that is what the documentation says.
fn tell_reach(found: &Found) -> bool {
    let documented = &found.documented;
    if &found.reached == documented {
        if !documented.is_empty() {
            println!(
                "{}: a worker reads {} secrets of its runner, as documented",
                found.scene,
                documented.len()
            );
        }
        return true;
    }
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let (reached, documented) = (list(&found.reached), list(documented));
    println!(
        "problem: scene={} a worker reads of its runner: {reached}; documented: {documented}",
        found.scene
    );
    false
}
