//! Bodies of the worker API, as the app really sends and takes them.
//!
//! Unknown fields are ignored and absent or null ones tolerated: an app of another version must
//! not stop a job. What we send is cleaned of text that the app cannot store (see [`clean_text`]).

mod hook;
mod job;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{ProjectId, UtcTime};

pub use hook::{
    Checkpoint, FollowUp, Hook, NOTE_MAX_CHARS, OFFERS_FOLLOW_UPS, PROPOSALS_MAX, Proposed,
    TEXT_MAX_CHARS, TITLE_MAX_CHARS,
};
pub use job::{
    AgentEnv, ClaimRequest, ExecutionMode, HeldBy, Job, JobCompletion, JobFailure, JobKind,
    JobPause, JobUsage, Lease, Parked,
};

/// Longest `step` of a log entry, in characters; the app cuts the rest.
pub const STEP_MAX_CHARS: usize = 100;

/// The most that one review job is asked to deal with: the app gives it no more comments, and the agent
/// answers no more threads. What is beyond is the next job's.
pub const REVIEW_ASKED_MAX: usize = 50;

/// Longest `summary` that is sent with a completion, in characters (the original agent's limit).
pub const COMPLETION_SUMMARY_MAX_CHARS: usize = 500;

/// Everything the agent needs to know about its ticket.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct WorkerContext {
    /// Name of the project.
    #[serde(deserialize_with = "null_as_default")]
    pub project_name: String,
    /// Description of the project.
    #[serde(deserialize_with = "null_as_default")]
    pub project_description: String,
    /// HTTP(S) URL of the repository.
    #[serde(deserialize_with = "blank_as_none")]
    pub repo_url: Option<String>,
    /// The ticket of this job.
    pub current_ticket: Option<Ticket>,
    /// The part of the architecture graph that the ticket names, as the app draws it.
    pub graph_relevant_to_current_ticket: Value,
    /// Notes of the project.
    #[serde(deserialize_with = "null_as_default")]
    pub notes: Vec<Note>,
    /// Tickets that wait.
    #[serde(deserialize_with = "null_as_default")]
    pub backlog_tickets: Vec<Ticket>,
    /// Tickets in progress, this one among them.
    #[serde(deserialize_with = "null_as_default")]
    pub in_progress_tickets: Vec<Ticket>,
    /// Tickets that are done.
    #[serde(deserialize_with = "null_as_default")]
    pub done_tickets: Vec<Ticket>,
    /// Settings of the app for the agent: secrets among them, so never part of a prompt.
    #[serde(deserialize_with = "null_as_default")]
    pub agent_settings: AgentEnv,
    /// What an agent may do beyond the original app's calls, such as [`OFFERS_FOLLOW_UPS`].
    #[serde(deserialize_with = "null_as_default")]
    pub offers: Vec<String>,
}

/// A ticket as the worker context shows it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Ticket {
    /// Its id, as text: tickets of other origins are context only.
    #[serde(deserialize_with = "null_as_default")]
    pub id: String,
    /// One line.
    #[serde(deserialize_with = "null_as_default")]
    pub title: String,
    /// Markdown.
    #[serde(deserialize_with = "null_as_default")]
    pub description: String,
    /// `low`, `medium`, `high`.
    #[serde(deserialize_with = "null_as_default")]
    pub priority: String,
    /// Column of the board.
    #[serde(deserialize_with = "null_as_default")]
    pub column_id: String,
    /// `todo`, `completed`, …
    #[serde(deserialize_with = "null_as_default")]
    pub status: String,
}

/// A note of the project.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Note {
    /// One line.
    #[serde(deserialize_with = "null_as_default")]
    pub title: String,
    /// Markdown.
    #[serde(deserialize_with = "null_as_default")]
    pub content: String,
}

/// One entry of a ticket's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogEntry {
    /// Groups the entries of one run.
    pub session_id: String,
    /// Name of the step; at most [`STEP_MAX_CHARS`].
    pub step: String,
    /// One line for people.
    pub summary: String,
    /// Longer output; bounded by the sender, since the app has no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_output: Option<String>,
}

impl LogEntry {
    /// The entry as the app can store it.
    #[must_use]
    pub fn cleaned(&self) -> Self {
        Self {
            session_id: clean_text(&self.session_id),
            step: clean_text(&self.step).chars().take(STEP_MAX_CHARS).collect(),
            summary: clean_text(&self.summary),
            raw_output: self.raw_output.as_deref().map(clean_text),
        }
    }
}

/// Body of a ticket's completion: moves the ticket to review, so it is sent for success alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TicketCompletion {
    /// What was accomplished; at most [`COMPLETION_SUMMARY_MAX_CHARS`].
    pub summary: String,
    /// Page of the pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pr_url: Option<String>,
    /// Number of the pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pr_number: Option<u64>,
    /// Reply to the review comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_comment_body: Option<String>,
}

impl TicketCompletion {
    /// The completion as the app can store it.
    #[must_use]
    pub fn cleaned(&self) -> Self {
        Self {
            summary: clean_text(&self.summary).chars().take(COMPLETION_SUMMARY_MAX_CHARS).collect(),
            pr_url: self.pr_url.as_deref().map(clean_text),
            pr_number: self.pr_number,
            review_comment_body: self.review_comment_body.as_deref().map(clean_text),
        }
    }
}

/// Settings of the app that a coordinator follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AppSettings {
    /// How many jobs may run at once; absent when not set or not a number above zero.
    #[serde(rename = "MAX_CONCURRENT_AGENTS", deserialize_with = "count")]
    pub max_concurrent_agents: Option<NonZeroUsize>,
    /// Whether the app has a token of the forge for its agents; the token itself is never told.
    #[serde(rename = "github_agent_token", deserialize_with = "is_set")]
    pub has_forge_token: bool,
}

/// A project as the app lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ListedProject {
    /// Its id.
    pub id: ProjectId,
    /// Where its repository is.
    #[serde(default, alias = "github_url")]
    pub repo_url: Option<String>,
    /// Where its jobs run.
    #[serde(default, deserialize_with = "null_as_default")]
    pub execution_mode: ExecutionMode,
}

/// What waits in the app's queue, by project. (Not of the original app.)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFacts {
    /// Projects without a job that waits may be left out.
    #[serde(default)]
    pub projects: BTreeMap<ProjectId, Waiting>,
}

/// Jobs that wait to be claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// How many.
    pub jobs: u64,
    /// For how long the oldest of them has waited, in seconds.
    #[serde(default)]
    pub oldest_sec: u64,
    /// How many more wait for the limit of a provider to be over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parked: u64,
    /// When the first of those may go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked_until: Option<UtcTime>,
    /// How many more wait for the next day, as the project's budget of this one is used up.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub over_budget: u64,
    /// When that day begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_until: Option<UtcTime>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Passages of the project's memory that answer one question.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MemoryAnswer {
    /// The question as it was asked.
    #[serde(deserialize_with = "null_as_default")]
    pub question: String,
    /// The passages, best first.
    #[serde(deserialize_with = "null_as_default")]
    pub docs: Vec<String>,
}

/// `text` without the characters that the app's database refuses. Lone surrogates cannot be in a
/// Rust string; NUL can.
#[must_use]
pub fn clean_text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn blank_as_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn blank_path_as_none<'de, D: Deserializer<'de>>(d: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(blank_as_none(d)?.map(PathBuf::from))
}

/// The app stores numbers as strings.
fn count<'de, D: Deserializer<'de>>(d: D) -> Result<Option<NonZeroUsize>, D::Error> {
    let number = match Value::deserialize(d)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(number.and_then(|n| usize::try_from(n).ok()).and_then(NonZeroUsize::new))
}

/// Whether a setting whose value is not told has one.
fn is_set<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::Bool(is_set) => is_set,
        Value::String(text) => !text.is_empty(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_concurrency_setting_is_read_as_the_app_stores_it() {
        let read =
            |text: &str| serde_json::from_str::<AppSettings>(text).unwrap().max_concurrent_agents;
        assert_eq!(read(r#"{"MAX_CONCURRENT_AGENTS":"5"}"#), NonZeroUsize::new(5));
        assert_eq!(read(r#"{"MAX_CONCURRENT_AGENTS":3}"#), NonZeroUsize::new(3));
        for unset in [
            r#"{"MAX_CONCURRENT_AGENTS":null}"#,
            r#"{"MAX_CONCURRENT_AGENTS":"abc"}"#,
            "{}",
            r#"{"MAX_CONCURRENT_AGENTS":"0"}"#,
        ] {
            assert_eq!(read(unset), None, "{unset}");
        }
    }

    #[test]
    fn text_the_app_cannot_store_is_cleaned_before_it_is_sent() {
        let entry = LogEntry {
            session_id: "s-1".to_owned(),
            step: "x".repeat(300),
            summary: "a\0b".to_owned(),
            raw_output: Some("\0".to_owned()),
        };
        let clean = entry.cleaned();
        assert_eq!(clean.step.chars().count(), STEP_MAX_CHARS);
        assert_eq!(clean.summary, "a\u{fffd}b");
        assert_eq!(clean.raw_output.as_deref(), Some("\u{fffd}"));
    }
}
