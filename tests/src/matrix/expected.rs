//! What a case has to come to.

use api_client::contract::AgentExit;
use api_client::outcome::Verdict;

use super::case::{Case, Cli, TurnEnd};

/// How a turn ends that the CLI calls done. One that needs long to exit has to be ended.
const FINISHED: [&str; 2] = ["finished", "hung_after_end"];

/// What is right for a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// The verdict.
    pub(super) verdict: Verdict,
    /// The name of the exit code.
    pub(super) cause: AgentExit,
    /// How the turn ends: one of these.
    pub(super) endings: &'static [&'static str],
    /// What is on the remote beside its default branch.
    pub(super) remote: Remote,
}

/// What a run leaves on the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remote {
    /// A branch with the change, and a pull request at its head.
    PullRequest,
    /// A branch with the change, on which a later run can go on, and no pull request.
    Rescue,
    /// Nothing.
    Nothing,
}

impl Expected {
    /// Of a case.
    pub(super) fn of(case: Case) -> Self {
        let failed = |endings| Self {
            verdict: Verdict::Failed,
            cause: AgentExit::WorkerFailed,
            endings,
            remote: Remote::Nothing,
        };
        let delivered = |endings| Self {
            verdict: Verdict::Delivered,
            cause: AgentExit::Delivered,
            endings,
            remote: Remote::PullRequest,
        };
        match case.end {
            TurnEnd::Edits | TurnEnd::Recovers => delivered(&FINISHED),
            TurnEnd::HangsAfterEnd => delivered(&["hung_after_end"]),
            TurnEnd::NoChange => Self {
                verdict: Verdict::NoChanges,
                cause: AgentExit::NoChanges,
                ..failed(&FINISHED)
            },
            TurnEnd::Unauthorised => failed(&["auth_failed"]),
            TurnEnd::RateLimited => Self {
                verdict: Verdict::Parked,
                cause: AgentExit::Parked,
                ..failed(&["rate_limited"])
            },
            TurnEnd::ConnectionRefused => failed(&["model_unavailable"]),
            TurnEnd::HangsMidStream => failed(&["stalled"]),
            TurnEnd::Garbage => failed(&["model_unavailable", "crashed"]),
            // A command that ends with an error is work as usual, and Codex does all by commands.
            TurnEnd::ToolFails if case.cli == Cli::Codex => Self {
                verdict: Verdict::NoChanges,
                cause: AgentExit::NoChanges,
                ..failed(&FINISHED)
            },
            TurnEnd::ToolFails => failed(&["tools_broken"]),
            TurnEnd::Killed if case.cli.has_tools() => {
                Self { verdict: Verdict::Partial, remote: Remote::Rescue, ..failed(&["killed"]) }
            }
            TurnEnd::Killed => failed(&["killed"]),
            TurnEnd::AsksForInput => Self {
                verdict: Verdict::Blocked,
                cause: AgentExit::Blocked,
                ..failed(&["needs_input", "finished", "hung_after_end"])
            },
        }
    }
}
