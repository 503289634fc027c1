//! `matrix`: every coding CLI against every way in which a turn can end.

#![expect(clippy::print_stdout, reason = "what it tells its caller")]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use futures_util::{StreamExt, stream};
use integration_tests::harness::{Engine, cli_image};
use integration_tests::matrix::{Case, Cli, Row, Stage, Summary, TurnEnd, document};

/// Runs the agent with each coding CLI on a scripted model, through each ending of a turn, and holds what
/// came of it against what has to. The exit code is 1 where something is not right.
#[derive(Debug, Parser)]
struct Arguments {
    /// Twelve cases, with every CLI and every ending among them.
    #[arg(long)]
    fifth: bool,
    /// These CLIs alone.
    #[arg(long, value_enum, value_delimiter = ',')]
    cli: Vec<Cli>,
    /// These endings alone.
    #[arg(long, value_enum, value_delimiter = ',')]
    end: Vec<TurnEnd>,
    /// This image as it is, in the place of the packaged one with the agent under test.
    #[arg(long)]
    image: Option<String>,
    /// How long a CLI may be silent, in seconds: more on a machine that has much to do.
    #[arg(long, default_value_t = 45)]
    stall_sec: u64,
    /// How many cases run at once.
    #[arg(long, default_value_t = 3)]
    at_once: usize,
    /// Write the table to this file.
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Where the output of the agents is kept.
    #[arg(long, value_name = "FOLDER", default_value = "target/matrix")]
    logs: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(engine) = Engine::or_skip().await else { return ExitCode::SUCCESS };
    let image = match &arguments.image {
        Some(image) => image,
        None => match cli_image(&engine).await {
            Some(image) => image,
            None => return ExitCode::FAILURE,
        },
    };
    let cases = cases(&arguments);
    let stall = Duration::from_secs(arguments.stall_sec);
    let stage = Stage::set(&engine, image, stall, &arguments.logs).await;
    let playing = cases.iter().map(async |case| {
        let row = stage.play(*case).await;
        tell(&stage, &row);
        row
    });
    let at_once = arguments.at_once.max(1);
    let mut rows: Vec<Row> = stream::iter(playing).buffer_unordered(at_once).collect().await;
    stage.strike().await;
    rows.sort_by_key(|row| cases.iter().position(|case| *case == row.case));
    let summary = Summary::of(&rows);
    let mut good = summary.is_good();
    if let Some(path) = &arguments.table
        && let Err(error) = fs::write(path, document(&rows))
    {
        println!("the table was not written to {}: {error}", path.display());
        good = false;
    }
    println!("{summary}");
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cases(arguments: &Arguments) -> Vec<Case> {
    let all = if arguments.fifth { Case::fifth() } else { Case::all() };
    let wanted = |case: &Case| {
        (arguments.cli.is_empty() || arguments.cli.contains(&case.cli))
            && (arguments.end.is_empty() || arguments.end.contains(&case.end))
    };
    all.into_iter().filter(wanted).collect()
}

fn tell(stage: &Stage, row: &Row) {
    let name = row.case.name();
    let differences = row.differences();
    if differences.is_empty() {
        println!("ok     {name}");
    } else {
        println!("WRONG  {name}: {}", differences.join("; "));
        println!(
            "       it says: {}; its output: {}",
            row.summary(),
            stage.log(row.case).display()
        );
    }
}
