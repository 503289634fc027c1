//! `scripted-llm`: the scripted model as a program, for demonstrations without
//! a key and for tests whose parts run in several processes.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "what it tells its caller")]

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use integration_tests::llm::{LlmOptions, Script, ScriptedLlm};
use integration_tests::server::{chain, stop_signal, write_port_file};
use serde_json::{Map, Value};

/// A model provider that answers by a script, with no model inside.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer until SIGINT or SIGTERM.
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Serve {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Write the port here once it listens.
    #[arg(long)]
    port_file: Option<PathBuf>,
    /// A JSON file with fields of the script.
    #[arg(long)]
    script: Option<PathBuf>,
    /// The file that the model writes.
    #[arg(long)]
    file: Option<String>,
    /// What it writes into the file.
    #[arg(long)]
    content: Option<String>,
    /// Another field of the script, such as turns=3 or scenario=noop; the value is JSON or text.
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = assignment)]
    set: Vec<(String, Value)>,
    /// Append each request here, one JSON object a line.
    #[arg(long)]
    log: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let Command::Serve(args) = Cli::parse().command;
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scripted-llm: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Serve) -> Result<(), Box<dyn Error>> {
    let script = args.script()?;
    let llm = ScriptedLlm::start(LlmOptions { listen: args.listen, script, log: args.log }).await?;
    println!("scripted-llm listening on {}", llm.url());
    if let Some(path) = args.port_file {
        write_port_file(&path, llm.address().port())?;
    }
    stop_signal().await?;
    Ok(llm.shutdown().await?)
}

impl Serve {
    /// Flags go over the file, the file over the defaults.
    fn script(&self) -> Result<Script, Box<dyn Error>> {
        let mut fields = self.script.as_deref().map_or_else(|| Ok(Map::new()), read_fields)?;
        let texts = [("file", &self.file), ("content", &self.content)];
        for (field, text) in texts {
            if let Some(text) = text {
                fields.insert(field.to_owned(), Value::from(text.as_str()));
            }
        }
        fields.extend(self.set.iter().cloned());
        Ok(Script::default().with(&fields)?)
    }
}

fn read_fields(path: &Path) -> Result<Map<String, Value>, Box<dyn Error>> {
    let failed = |error: &dyn Error| format!("cannot use --script {}: {error}", path.display());
    let text = std::fs::read(path).map_err(|error| failed(&error))?;
    Ok(serde_json::from_slice(&text).map_err(|error| failed(&error))?)
}

/// Text that is not JSON stands for itself, so that words need no quotes.
fn assignment(text: &str) -> Result<(String, Value), String> {
    let (field, value) = text.split_once('=').ok_or("expected FIELD=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((field.to_owned(), value))
}
