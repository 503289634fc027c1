//! A command of the repository (its set-up, its check), run as the worker's own commands are: as its
//! user, in its tree, with its home and its environment, without anything of its model.
//!
//! Invariant: what [`Worker::command`] started is gone when it returns; what is kept of its output is
//! bounded, and redacted before it is cut.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::process::{self, Invocation, Limits, Next, Stop};
use super::{LOGGED_MAX, Worker, WorkerError};
use crate::bounded::{HeadTail, bounded};
use crate::model_gateway::ShutOutWatch;
use crate::pulse::with_pulse;

/// The target of what commands write, in the log.
const TARGET: &str = "command";
/// How much of a command's output is kept, in bytes: half of it from its end.
const OUTPUT_MAX: usize = 32 << 10;

/// A command that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandReport {
    /// How.
    pub(crate) end: CommandEnd,
    /// Beginning and end of what it wrote, to standard output and standard error alike.
    pub(crate) output: String,
    /// How long it ran.
    pub(crate) took: Duration,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CommandEnd {
    /// By itself.
    Exited(i32),
    /// By a signal that was not ours.
    Killed,
    /// It took too long.
    TimedOut(Duration),
    /// The run was cancelled.
    Cancelled,
}

impl CommandEnd {
    /// Its exit code, where there is one.
    pub(crate) const fn exit_code(self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(code),
            Self::Killed | Self::TimedOut(_) | Self::Cancelled => None,
        }
    }
}

impl std::fmt::Display for CommandEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Killed => f.write_str("ended by a signal"),
            Self::TimedOut(limit) => write!(f, "ended after {} s, its limit", limit.as_secs()),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl Worker {
    /// Runs `sh -c` with this text in the root of the work tree.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) async fn command(
        &self,
        text: &str,
        limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<CommandReport, WorkerError> {
        let invocation = Invocation {
            program: "sh".into(),
            // Both streams as one, so that messages stand where they belong.
            arguments: vec!["-c".into(), format!("exec 2>&1\n{text}").into()],
            environment: self.surroundings.clone(),
            directory: self.tree.clone(),
            user: self.user.clone(),
            prompt: String::new(),
            redaction: self.redaction.clone(),
            shut_out: ShutOutWatch::never(),
        };
        let mut output = HeadTail::new(OUTPUT_MAX);
        let mut on_line = |line: &str| {
            tracing::info!(target: TARGET, "{}", bounded(line, LOGGED_MAX));
            output.push(line);
            output.push("\n");
            Next::Continue
        };
        let began = Instant::now();
        let limits = Limits { turn: limit, stall: limit };
        let running = process::run(invocation, limits, cancel, &mut on_line);
        let finished = with_pulse("a command of the repository", running).await;
        let finished = finished.map_err(|source| WorkerError::Run { program: "sh", source })?;
        let end = match finished.stop {
            Stop::Exited(status) => status.code().map_or(CommandEnd::Killed, CommandEnd::Exited),
            Stop::TimedOut | Stop::Stalled => CommandEnd::TimedOut(limit),
            Stop::Cancelled => CommandEnd::Cancelled,
            Stop::HungAfterEnd | Stop::Hopeless(_) | Stop::ShutOut(_) => CommandEnd::Killed,
        };
        Ok(CommandReport { end, output: output.into_text(), took: began.elapsed() })
    }
}
