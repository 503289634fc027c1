//! An interactive command in a container that runs.

use std::io;
use std::pin::Pin;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::exec::{ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{CALL_TIMEOUT, ContainerRef, Engine, EngineError, limited};

/// What is run, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionSpec<'a> {
    pub(crate) command: &'a [&'a str],
    /// Name or number of the user in the container.
    pub(crate) user: &'a str,
    /// Kind of its terminal: the value of `TERM`. A command without one may find the end of its input when we are
    /// gone; one that has a terminal does not.
    pub(crate) terminal: Option<&'a str>,
}

/// A terminal's size, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
}

/// A command that runs, and the two ways to it, each of which can wait by itself.
pub(crate) struct Session {
    pub(crate) command: SessionCommand,
    pub(crate) output: SessionOutput,
    pub(crate) input: SessionInput,
}

/// The command.
pub(crate) struct SessionCommand {
    docker: Docker,
    id: String,
}

/// What it prints.
pub(crate) struct SessionOutput(
    Pin<Box<dyn Stream<Item = Result<LogOutput, BollardError>> + Send>>,
);

/// What it is told.
pub(crate) struct SessionInput(Pin<Box<dyn AsyncWrite + Send>>);

impl Engine {
    /// Begins a command in a container.
    pub(crate) async fn session(
        &self,
        name: &ContainerRef,
        spec: SessionSpec<'_>,
    ) -> Result<Session, EngineError> {
        let docker = self.docker().await?;
        let tty = spec.terminal.is_some();
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(tty),
            user: Some(spec.user.to_owned()),
            env: spec.terminal.map(|kind| vec![format!("TERM={kind}")]),
            cmd: Some(spec.command.iter().map(|&word| word.to_owned()).collect()),
            ..ExecConfig::default()
        };
        let create = docker.create_exec(&name.0, config);
        let id = self.call(CALL_TIMEOUT, "create a command in", &name.0, create).await?.id;
        let options = StartExecOptions { tty, ..StartExecOptions::default() };
        let start = docker.start_exec(&id, Some(options));
        match self.call(CALL_TIMEOUT, "run a command in", &name.0, start).await? {
            StartExecResults::Attached { output, input } => {
                let command = SessionCommand { docker: docker.clone(), id };
                let (output, input) = (SessionOutput(output), SessionInput(input));
                Ok(Session { command, output, input })
            }
            StartExecResults::Detached => {
                let error = io::Error::other("the engine ran it without us").into();
                Err(EngineError::new("run a command in", &name.0, error))
            }
        }
    }
}

impl SessionOutput {
    /// The next piece; none at its end, or when the connection is gone.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        self.0.next().await?.ok().map(LogOutput::into_bytes)
    }
}

impl SessionInput {
    /// Hands on what was typed.
    pub(crate) async fn write(&mut self, typed: &[u8]) -> io::Result<()> {
        self.0.write_all(typed).await?;
        self.0.flush().await
    }
}

impl SessionCommand {
    /// Tells it the size of the terminal. An engine that does not take it costs the size alone.
    pub(crate) async fn resize(&self, size: Size) {
        let options = ResizeExecOptions { height: size.rows, width: size.columns };
        let resize = self.docker.resize_exec(&self.id, options);
        if let Err(error) = limited(CALL_TIMEOUT, "resize", "the terminal", resize).await {
            tracing::debug!(%error, "the terminal keeps its size");
        }
    }
}
