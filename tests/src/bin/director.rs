//! `director`: real coding CLIs under a scripted Director.

#![expect(clippy::print_stdout, reason = "what it tells its caller")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use futures_util::{StreamExt, stream};
use integration_tests::director::{Case, Row, Stage, Story, Summary};
use integration_tests::harness::{Engine, cli_image};
use integration_tests::matrix::Cli;

/// Runs the agent with OpenCode and Claude Code under a Director whose answers are scripted. The exit code is 1
/// where something is not right.
#[derive(Debug, Parser)]
struct Arguments {
    /// A few cases, of each kind of story and with both CLIs.
    #[arg(long)]
    some: bool,
    /// These CLIs alone.
    #[arg(long, value_enum, value_delimiter = ',')]
    cli: Vec<Cli>,
    /// These stories alone.
    #[arg(long, value_enum, value_delimiter = ',')]
    story: Vec<Story>,
    /// This image as it is, in the place of the packaged one with the agent under test.
    #[arg(long)]
    image: Option<String>,
    /// How many cases run at once.
    #[arg(long, default_value_t = 2)]
    at_once: usize,
    /// Where the output of the agents is kept.
    #[arg(long, value_name = "FOLDER", default_value = "target/director")]
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
    let wanted = |case: &Case| {
        (arguments.cli.is_empty() || arguments.cli.contains(&case.cli))
            && (arguments.story.is_empty() || arguments.story.contains(&case.story))
    };
    let stage = Stage::set(&engine, image, &arguments.logs).await;
    let cases = if arguments.some { Case::some() } else { Case::all() };
    let playing = cases.into_iter().filter(wanted).map(|case| {
        let stage = &stage;
        async move {
            let row = stage.play(case).await;
            println!("{row}");
            row
        }
    });
    let at_once = arguments.at_once.max(1);
    let rows: Vec<Row> = stream::iter(playing).buffer_unordered(at_once).collect().await;
    let summary = Summary::of(&rows);
    println!("{summary}");
    if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
