//! `hostile`: what a hostile worker can do in each mode, held against docs/security.md.

#![expect(clippy::print_stdout, reason = "what it tells its caller")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use integration_tests::harness::Engine;
use integration_tests::hostile::{Setup, Things, documented, try_all};

/// Runs a job with a hostile worker in each Docker mode, with the agent's real image, and prints
/// what it could do and what blocked it. The exit code is 1 where that is not what docs/security.md
/// says.
#[derive(Debug, Parser)]
struct Arguments {
    /// The setups to try.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Setup::ALL)]
    modes: Vec<Setup>,
    /// The agent's image.
    #[arg(long, default_value = "terarchitect-agent")]
    image: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(engine) = Engine::or_skip().await else { return ExitCode::SUCCESS };
    let mut measured = BTreeMap::new();
    for setup in &arguments.modes {
        let begun = Instant::now();
        measured.insert(*setup, try_all(&engine, &arguments.image, *setup).await);
        println!("{}: {:.1} s", setup.name(), begun.elapsed().as_secs_f64());
    }
    print_table(&measured);
    let differences: usize =
        measured.iter().map(|(setup, things)| tell_differences(*setup, things)).sum();
    let things: BTreeSet<&String> = measured.values().flat_map(Things::keys).collect();
    println!("modes={} things={} differences={differences}", measured.len(), things.len());
    if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The table as the documentation has it.
fn print_table(measured: &BTreeMap<Setup, Things>) {
    let things: BTreeSet<&String> = measured.values().flat_map(Things::keys).collect();
    let names: Vec<String> = measured.keys().map(|setup| format!("`{}`", setup.name())).collect();
    println!("| thing | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    for thing in things {
        let cells: Vec<&str> =
            measured.values().map(|of| of.get(thing).map_or("-", String::as_str)).collect();
        println!("| `{thing}` | {} |", cells.join(" | "));
    }
}

fn tell_differences(setup: Setup, measured: &Things) -> usize {
    let documented = documented(setup);
    let things: BTreeSet<&String> = measured.keys().chain(documented.keys()).collect();
    let mut count = 0;
    for thing in things {
        let of = |things: &Things| things.get(thing).cloned().unwrap_or_else(|| "-".to_owned());
        let (found, expected) = (of(measured), of(&documented));
        if found != expected {
            count += 1;
            println!("difference: {} {thing}: {found}; documented: {expected}", setup.name());
        }
    }
    count
}
