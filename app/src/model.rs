//! What the app keeps, in the form in which the API shows it. The server writes these types and the
//! command line reads them.

use std::fmt;
use std::str::FromStr;

use api_client::wire::JobKind;
use api_client::{ClaimId, JobId, MemoryId, ProjectId, TicketId};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::dollars::Dollars;
use crate::queue::JobState;

/// A text that is not one of the words a field allows.
#[derive(Debug, thiserror::Error)]
#[error("{what} must be one of {allowed}, got {text:?}")]
pub(crate) struct UnknownWord {
    what: &'static str,
    allowed: String,
    text: String,
}

macro_rules! words {
    (
        $(#[$doc:meta])* $name:ident, $what:literal,
        { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub(crate) enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// The word on the wire and in the database.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord {
                        what: $what,
                        allowed: [$($word),+].join(", "),
                        text: text.chars().take(80).collect(),
                    }),
                }
            }
        }
    };
}

words! {
    /// Where the jobs of a project run.
    ExecutionMode, "execution_mode",
    {
        /// In a container of their own.
        Docker = "docker",
        /// On the coordinator's host.
        Local = "local",
    }
}

words! {
    /// Urgency of a ticket, for people.
    Priority, "priority",
    { Low = "low", Medium = "medium", High = "high" }
}

words! {
    /// Column of the board.
    Column, "column_id",
    { Backlog = "backlog", InProgress = "in_progress", InReview = "in_review", Done = "done" }
}

words! {
    /// Whether the agent has delivered.
    TicketStatus, "status",
    { Todo = "todo", Completed = "completed" }
}

words! {
    /// State of a job.
    JobStatus, "status",
    {
        /// Waits for a coordinator.
        Pending = "pending",
        /// Claimed.
        Running = "running",
        /// Reported as done.
        Completed = "completed",
        /// Reported as failed.
        Failed = "failed",
        /// Taken out of the queue, or stopped on request.
        Cancelled = "cancelled",
    }
}

words! {
    /// How a ticket's pull request stands, as it was seen last.
    ReviewState, "state",
    {
        /// Review jobs are started for what is said of it.
        Open = "open",
        /// It is open, and what is said of it was tried often enough.
        GivenUp = "given_up",
        /// The ticket is done.
        Approved = "approved",
        /// The ticket is done.
        Merged = "merged",
        /// It was closed without a merge.
        Closed = "closed",
    }
}

words! {
    /// What happened in a run.
    Hook, "hook",
    {
        /// It began.
        Start = "on_start",
        /// A turn of the worker ended.
        Turn = "on_turn",
        /// The worker used a tool.
        Tool = "on_tool",
        /// It could not go on.
        Error = "on_error",
        /// It delivered.
        Complete = "on_complete",
    }
}

/// Where the jobs of a project run, with what that needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "execution_mode", rename_all = "snake_case")]
pub(crate) enum Execution {
    /// In a container of their own.
    Docker,
    /// On the coordinator's host.
    Local {
        /// The repository on that host: an absolute path.
        project_path: String,
    },
}

impl Execution {
    pub(crate) const fn mode(&self) -> ExecutionMode {
        match self {
            Self::Docker => ExecutionMode::Docker,
            Self::Local { .. } => ExecutionMode::Local,
        }
    }

    pub(crate) fn path(&self) -> Option<&str> {
        match self {
            Self::Docker => None,
            Self::Local { project_path } => Some(project_path),
        }
    }
}

/// A repository with a board of tickets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Project {
    pub(crate) id: ProjectId,
    pub(crate) name: String,
    /// Markdown.
    pub(crate) description: String,
    /// HTTP(S) URL without credentials; always there for [`Execution::Docker`].
    pub(crate) repo_url: Option<String>,
    #[serde(flatten)]
    pub(crate) execution: Execution,
    #[serde(flatten)]
    pub(crate) budget: DayBudget,
    pub(crate) created_at: Timestamp,
}

/// What the jobs of a project may use in one day, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DayBudget {
    /// Tokens, in and out together.
    #[serde(rename = "token_budget_per_day", default)]
    pub(crate) tokens: Option<u64>,
    /// Money.
    #[serde(rename = "money_budget_per_day_usd", default)]
    pub(crate) money: Option<Dollars>,
}

/// A piece of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) id: TicketId,
    pub(crate) project_id: ProjectId,
    pub(crate) title: String,
    /// Markdown.
    pub(crate) description: String,
    pub(crate) priority: Priority,
    pub(crate) column_id: Column,
    pub(crate) status: TicketStatus,
    /// What the agent says it accomplished.
    pub(crate) summary: Option<String>,
    /// Page of the pull request.
    pub(crate) pr_url: Option<String>,
    pub(crate) pr_number: Option<u64>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// The newest job of this ticket.
    pub(crate) job: Option<LatestJob>,
    /// What was seen last of the pull request, if the review loop looked at it.
    #[serde(default)]
    pub(crate) review: Option<Review>,
}

/// A pull request as it was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Review {
    pub(crate) state: ReviewState,
    pub(crate) looked_at: Timestamp,
}

/// The newest job of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LatestJob {
    pub(crate) job_id: JobId,
    pub(crate) status: JobStatus,
}

/// A unit of work in the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) job_id: JobId,
    pub(crate) project_id: ProjectId,
    pub(crate) ticket_id: TicketId,
    #[serde(flatten)]
    pub(crate) kind: JobKind,
    pub(crate) status: JobStatus,
    /// How often it was claimed.
    pub(crate) attempt: u32,
    pub(crate) cancel_requested: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) claimed_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    /// Why it failed, as the coordinator put it.
    pub(crate) fail_reason: Option<String>,
    /// The same in one word.
    pub(crate) fail_cause: Option<String>,
    /// The newest claim of it, if that had an id and did not park it.
    pub(crate) claim_id: Option<ClaimId>,
    /// Not handed out before this, as a provider's limit holds until then.
    #[serde(default)]
    pub(crate) not_before: Option<Timestamp>,
    /// That limit.
    #[serde(default)]
    pub(crate) parked_for: Option<String>,
}

impl Job {
    /// What the rules of the queue look at.
    pub(crate) const fn state(&self) -> JobState {
        JobState {
            status: self.status,
            attempt: self.attempt,
            claim: self.claim_id,
            cancel_requested: self.cancel_requested,
        }
    }
}

/// An entry of a ticket's log as it is read. The original app shows no session id here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LogRecord {
    pub(crate) id: String,
    pub(crate) step: String,
    pub(crate) summary: String,
    pub(crate) raw_output: Option<String>,
    pub(crate) success: Option<bool>,
    pub(crate) created_at: Timestamp,
}

/// What a run told of itself while it went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Groups those of one run.
    pub(crate) session_id: String,
    pub(crate) hook: Hook,
    /// Of the worker, from 0.
    pub(crate) turn: Option<u64>,
    /// One line.
    pub(crate) note: String,
    /// Tokens that the run has used until then.
    pub(crate) tokens: Option<u64>,
    pub(crate) created_at: Timestamp,
}

/// A passage of a project's memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) id: MemoryId,
    pub(crate) content: String,
    /// When it was kept; not known of the oldest.
    pub(crate) created_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_is_refused_with_the_words_that_are_allowed() {
        let error = Column::from_str("doing").unwrap_err();
        let text = "column_id must be one of backlog, in_progress, in_review, done, got \"doing\"";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_word_reads_back_as_it_was_written() {
        for status in ["pending", "running", "completed", "failed", "cancelled"] {
            assert_eq!(JobStatus::from_str(status).unwrap().name(), status);
        }
    }
}
