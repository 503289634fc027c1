//! The commands that talk to a running server. Each asks, and answers with the server's JSON and a
//! text for people.

mod job;
mod memory;
mod project;
mod settings;
mod ticket;

use std::io;

use serde_json::Value;

use crate::cli::{Command, Target};
use crate::config::{ClientConfig, ConfigError, Environment};
use crate::output;
use crate::remote::{Remote, RemoteError};

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(
        "{name} is secret, and arguments can be read by others: give it on standard input, as in \
         `terarchitect-app settings set {name} - < file`"
    )]
    SecretArgument { name: String },
    #[error("cannot read the value from standard input")]
    Stdin(#[source] io::Error),
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
}

impl CommandError {
    /// Whether the caller used the command wrongly.
    pub(crate) const fn is_usage(&self) -> bool {
        match self {
            Self::Config(_) | Self::SecretArgument { .. } => true,
            Self::Remote(_) | Self::Stdin(_) | Self::Stdout(_) => false,
        }
    }
}

/// What a command has to say.
struct Answer {
    json: Value,
    text: String,
}

/// Runs a command against the server and prints its answer. `serve` is not among them.
pub(crate) async fn run(command: Command, environment: Environment) -> Result<(), CommandError> {
    let (target, answer) = match command {
        Command::Serve(_) => return Ok(()),
        Command::Project(client) => {
            let remote = connect(&client.target, environment)?;
            (client.target, project::run(client.command, &remote).await?)
        }
        Command::Ticket(client) => {
            let remote = connect(&client.target, environment)?;
            (client.target, ticket::run(client.command, &remote).await?)
        }
        Command::Job(client) => {
            let remote = connect(&client.target, environment)?;
            (client.target, job::run(client.command, &remote).await?)
        }
        Command::Memory(client) => {
            let remote = connect(&client.target, environment)?;
            (client.target, memory::run(client.command, &remote).await?)
        }
        Command::Settings(client) => {
            let remote = connect(&client.target, environment)?;
            (client.target, settings::run(client.command, &remote).await?)
        }
    };
    let text = if target.json { format!("{:#}", answer.json) } else { answer.text };
    output::line(&text).map_err(CommandError::Stdout)
}

fn connect(target: &Target, environment: Environment) -> Result<Remote, CommandError> {
    let config = ClientConfig::resolve(target, environment)?;
    Ok(Remote::new(config)?)
}
