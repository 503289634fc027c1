//! The outcome of one run of the agent, as one JSON document.
//!
//! The runner writes it to the file that [`env::OUTCOME_FILE`](crate::contract::env::OUTCOME_FILE) names;
//! the coordinator collects it from there. `docs/outcome.md` describes it for people. Fields are only
//! ever added; when one changes its meaning, [`OUTCOME_VERSION`] does as well.

mod facts;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::facts::{
    CheckFacts, CheckKind, CommitFacts, DiffFacts, DirectorFacts, Finding, FindingKind,
    ParkedFacts, PhaseFacts, PlanOutcome, PullRequestFacts, RepositoryFacts, RescueFacts,
    ThreadEnding, ThreadFacts, TokenFacts, TurnFacts, WorkerFacts,
};

use crate::contract::AgentExit;

/// The version of the document that this crate writes and reads.
pub const OUTCOME_VERSION: u32 = 1;

/// Longest document that is collected, in bytes. A longer one is not looked at.
pub const OUTCOME_MAX_BYTES: usize = 1 << 20;

/// Everything that one run came to. No secret is in it: the runner redacts it as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomeDocument {
    /// [`OUTCOME_VERSION`] of the writer.
    pub version: u32,
    /// What it came to.
    pub verdict: Verdict,
    /// Why it is nothing else, by the name of the exit code.
    pub cause: AgentExit,
    /// The same for people: one or two sentences.
    pub summary: String,
    /// The job, where there is one; a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The ticket, where there is one; a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// What was worked on, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryFacts>,
    /// Commits that the branch has beyond its base, newest first; at most a hundred.
    #[serde(default)]
    pub commits: Vec<CommitFacts>,
    /// How much they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<DiffFacts>,
    /// The pull request, once the forge confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequestFacts>,
    /// Where unfinished work was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rescue: Option<RescueFacts>,
    /// What a run waits for that is to go on later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<ParkedFacts>,
    /// Commands of the repository that were run, set-up and checks, in their order.
    #[serde(default)]
    pub checks: Vec<CheckFacts>,
    /// What a reviewer should look at, or what kept the work from being published.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// The worker's turns, in their order.
    #[serde(default)]
    pub turns: Vec<TurnFacts>,
    /// Tokens of all turns.
    #[serde(default)]
    pub tokens: TokenFacts,
    /// What they cost in US dollars, where prices are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money_usd: Option<f64>,
    /// What the Director did, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub director: Option<DirectorFacts>,
    /// What became of the threads of a review, where the run was one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<ThreadFacts>,
    /// The turn of the worker with which the run went on where an earlier one of the ticket was ended, counted from
    /// 1, those for research and plan among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_at_turn: Option<u32>,
    /// Whether the run leaves anything in its folder of state for the next run of the ticket; absent where it has no such
    /// folder, or another run has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_kept: Option<bool>,
    /// How long each part of the run took, in the order of their begin.
    #[serde(default)]
    pub phases: Vec<PhaseFacts>,
    /// The coding CLI, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerFacts>,
    /// Version of agent-runner.
    pub runner_version: String,
    /// The image that it ran in, where it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The branch is pushed and verified, the pull request confirmed, the app informed.
    Delivered,
    /// The worker ended well and nothing is different.
    NoChanges,
    /// There is work, and the repository's own checks fail on it.
    ChecksFailed,
    /// The run ended early; what there was is saved on a branch.
    Partial,
    /// The worker declined or asked, or its work may not be published.
    Blocked,
    /// The run is to go on later; what there was is saved.
    Parked,
    /// Nothing came of it.
    Failed,
}

impl Verdict {
    /// The verdict that a cause decides alone; nothing where it is [`Partial`](Self::Partial) or
    /// [`Failed`](Self::Failed), which depends on whether work was saved.
    #[must_use]
    pub const fn decided_by(cause: AgentExit) -> Option<Self> {
        match cause {
            AgentExit::Delivered => Some(Self::Delivered),
            AgentExit::NoChanges => Some(Self::NoChanges),
            AgentExit::ChecksFailed => Some(Self::ChecksFailed),
            AgentExit::Blocked => Some(Self::Blocked),
            AgentExit::Parked => Some(Self::Parked),
            AgentExit::Misconfigured
            | AgentExit::CloneFailed
            | AgentExit::WorkerFailed
            | AgentExit::DirectorFailed
            | AgentExit::BudgetExhausted
            | AgentExit::Cancelled
            | AgentExit::PublishFailed
            | AgentExit::AppUnreachable
            | AgentExit::NotSupported
            | AgentExit::Superseded
            | AgentExit::OutOfMemory
            | AgentExit::ProcessLimit => None,
        }
    }
}
