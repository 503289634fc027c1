//! The exit codes of the runner.

use serde::{Deserialize, Serialize};

/// How a run of the agent ended: its exit code, the same in a container and on a host.
///
/// Numbers 2–10 follow the reference agent's proposal; every other code means that the runner did
/// not end by itself (a crash, a signal, another program).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentExit {
    /// Branch pushed and verified, pull request open, app informed.
    Delivered,
    /// A setting is missing or wrong.
    Misconfigured,
    /// The repository could not be fetched.
    CloneFailed,
    /// The worker CLI could not do its work.
    WorkerFailed,
    /// The Director could not be reached or understood.
    DirectorFailed,
    /// The budget of tokens or money is used up.
    BudgetExhausted,
    /// The app asked for the end, or the runner was told to stop.
    Cancelled,
    /// The work could not be pushed, or no pull request could be opened.
    PublishFailed,
    /// The worker ended well and changed nothing.
    NoChanges,
    /// The app did not give the ticket, renew the lease or take the completion.
    AppUnreachable,
    /// This kind of job cannot be done by this version.
    NotSupported,
    /// The job is another's by now: nothing more was published.
    Superseded,
    /// The worker failed, and processes of it were ended for want of memory.
    OutOfMemory,
    /// The worker failed, and could not start processes any more.
    ProcessLimit,
    /// The repository's own checks fail on the work.
    ChecksFailed,
    /// The worker declined or asked, or its work may not be published.
    Blocked,
    /// A provider lets nobody in before a time that it names: the job goes on then.
    Parked,
}

impl AgentExit {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 17] = [
        Self::Delivered,
        Self::Misconfigured,
        Self::CloneFailed,
        Self::WorkerFailed,
        Self::DirectorFailed,
        Self::BudgetExhausted,
        Self::Cancelled,
        Self::PublishFailed,
        Self::NoChanges,
        Self::AppUnreachable,
        Self::NotSupported,
        Self::Superseded,
        Self::OutOfMemory,
        Self::ProcessLimit,
        Self::ChecksFailed,
        Self::Blocked,
        Self::Parked,
    ];

    /// The process exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Delivered => 0,
            Self::Misconfigured => 2,
            Self::CloneFailed => 3,
            Self::WorkerFailed => 4,
            Self::DirectorFailed => 5,
            Self::BudgetExhausted => 6,
            Self::Cancelled => 7,
            Self::PublishFailed => 8,
            Self::NoChanges => 9,
            Self::AppUnreachable => 10,
            Self::NotSupported => 11,
            Self::Superseded => 12,
            Self::OutOfMemory => 13,
            Self::ProcessLimit => 14,
            Self::ChecksFailed => 15,
            Self::Blocked => 16,
            Self::Parked => 17,
        }
    }

    /// The ending that a process exit code stands for, if it is one of ours.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| i64::from(exit.code()) == code)
    }

    /// Whether the run came to its end, and this is what it found of the work: nothing that was printed
    /// on the way, by a test or a model, says more of why.
    #[must_use]
    pub const fn is_verdict_on_work(self) -> bool {
        matches!(self, Self::Delivered | Self::NoChanges | Self::ChecksFailed | Self::Blocked)
    }

    /// One clause for people.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Delivered => "delivered: branch pushed, pull request open",
            Self::Misconfigured => "misconfigured: a setting is missing or wrong",
            Self::CloneFailed => "clone failed: the repository could not be fetched",
            Self::WorkerFailed => "worker failed: the coding CLI could not do its work",
            Self::DirectorFailed => "director failed: the directing model could not be used",
            Self::BudgetExhausted => "budget exhausted: a limit of the job was reached",
            Self::Cancelled => "cancelled: the app or a signal ended the run",
            Self::PublishFailed => "publish failed: push or pull request did not succeed",
            Self::NoChanges => "no changes: the worker ended well and changed nothing",
            Self::AppUnreachable => {
                "app unreachable: ticket, lease or completion was not to be had"
            }
            Self::NotSupported => "not supported: this version cannot do this kind of job",
            Self::Superseded => "superseded: the job is held by someone else by now",
            Self::OutOfMemory => "out of memory: processes of the worker were ended for want of it",
            Self::ProcessLimit => "process limit: the worker could start no more processes",
            Self::ChecksFailed => "checks failed: the repository's own checks fail on the work",
            Self::Blocked => {
                "blocked: the worker declined or asked, or its work may not be published"
            }
            Self::Parked => "parked: a provider's limit is used up until a time that it names",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_unique_and_round_trip() {
        for exit in AgentExit::ALL {
            assert_eq!(AgentExit::from_code(i64::from(exit.code())), Some(exit));
        }
    }

    #[test]
    fn a_crash_or_signal_is_none_of_our_endings() {
        for code in [1, 101, 125, 126, 127, 137, 143, -1, 256] {
            assert_eq!(AgentExit::from_code(code), None, "{code}");
        }
    }
}
