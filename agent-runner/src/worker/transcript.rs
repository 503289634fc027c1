//! What the coding CLI wrote, line by line, so that somebody else can replay it ([`replay`](crate::replay)): the
//! records of the file, which `docs/agent.md` describes. [`writer`] takes them down, [`reader`] gives the turns back.

mod reader;
mod writer;

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::reader::{RecordedTurn, TranscriptError, turns_of};
pub(crate) use self::writer::Transcript;

use super::ending::Ending;
use super::process::{Limits, Stop};
use crate::model_gateway::Totals;
use crate::settings::{Provider, WorkerKind, WorkerSettings};

/// Version of the format.
const VERSION: u32 = 1;

/// One line of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Record {
    /// A turn begins.
    Turn(TurnBegun),
    /// A line of the CLI's standard output.
    Line { text: String },
    /// Lines that were left out here, for want of room.
    Gap { lines: u64, bytes: u64 },
    /// The turn is over.
    End(Box<TurnEnded>),
    /// There is no room for more.
    Full,
}

/// What the reader of a turn depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TurnBegun {
    version: u32,
    /// Its name in `WORKER_MODE`.
    pub(crate) cli: String,
    /// Whether the model's endpoint was that of the CLI's own provider.
    own_provider: bool,
    turn_limit_secs: u64,
    stall_limit_secs: u64,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TurnEnded {
    pub(super) how: HowEnded,
    /// Beginning and end of the CLI's standard error.
    pub(super) stderr: String,
    /// The calls of its model, as the gateway counted them.
    pub(super) calls: Totals,
    /// What was made of it then, in one word.
    pub(crate) ending: String,
    /// The same for people.
    pub(crate) detail: String,
}

/// Why a CLI's process was no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HowEnded {
    /// The turn came to its end before the CLI was started.
    NotBegun(Ending),
    ExitCode(i32),
    Signal(i32),
    HungAfterEnd,
    Hopeless,
    TimedOut,
    Stalled,
    ShutOut(Duration),
    Cancelled,
}

impl TurnBegun {
    pub(super) fn of(settings: &WorkerSettings) -> Self {
        Self {
            version: VERSION,
            cli: settings.cli.name().to_owned(),
            own_provider: settings.provider == Provider::Own,
            turn_limit_secs: settings.turn_limit.as_secs(),
            stall_limit_secs: settings.stall_limit.as_secs(),
        }
    }

    /// Which CLI; nothing where it is none of ours.
    pub(super) fn kind(&self) -> Option<WorkerKind> {
        WorkerKind::ALL.into_iter().find(|kind| kind.name() == self.cli)
    }

    pub(super) const fn provider(&self) -> Provider {
        if self.own_provider { Provider::Own } else { Provider::Other }
    }

    pub(super) const fn limits(&self) -> Limits {
        Limits {
            turn: Duration::from_secs(self.turn_limit_secs),
            stall: Duration::from_secs(self.stall_limit_secs),
        }
    }
}

impl HowEnded {
    fn of(stop: &Stop) -> Self {
        match stop {
            Stop::Exited(status) => match status.signal() {
                Some(signal) => Self::Signal(signal),
                None => Self::ExitCode(status.code().unwrap_or(-1)),
            },
            Stop::HungAfterEnd => Self::HungAfterEnd,
            Stop::Hopeless(_) => Self::Hopeless,
            Stop::TimedOut => Self::TimedOut,
            Stop::Stalled => Self::Stalled,
            Stop::ShutOut(left) => Self::ShutOut(*left),
            Stop::Cancelled => Self::Cancelled,
        }
    }

    /// The same as the process told it; `given_up` is what the listener says of a turn without hope.
    pub(super) fn stop(&self, given_up: Option<Ending>) -> Stop {
        match self {
            // As wait(2) tells them: the code in the second byte, the signal in the first.
            Self::ExitCode(code) => Stop::Exited(ExitStatus::from_raw((code & 0xff) << 8)),
            Self::Signal(signal) => Stop::Exited(ExitStatus::from_raw(signal & 0x7f)),
            Self::Hopeless => given_up.map_or(Stop::HungAfterEnd, Stop::Hopeless),
            Self::HungAfterEnd => Stop::HungAfterEnd,
            Self::TimedOut => Stop::TimedOut,
            Self::Stalled => Stop::Stalled,
            Self::ShutOut(left) => Stop::ShutOut(*left),
            Self::Cancelled | Self::NotBegun(_) => Stop::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests;
