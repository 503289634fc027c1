//! Bodies of the worker API, as the app really sends and takes them.
//!
//! Unknown fields are ignored and absent or null ones tolerated: an app of another version must
//! not stop a job. What we send is cleaned of text that the app cannot store (see [`clean_text`]).

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{JobId, ProjectId, Secret, TicketId};

/// Longest `step` of a log entry, in characters; the app cuts the rest.
pub const STEP_MAX_CHARS: usize = 100;

/// Longest `summary` that is sent with a completion, in characters (the original agent's limit).
pub const COMPLETION_SUMMARY_MAX_CHARS: usize = 500;

/// Body of a claim.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// Only jobs of this project, or of any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
}

/// A claimed job.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    /// Its id.
    pub job_id: JobId,
    /// The ticket it works on.
    pub ticket_id: TicketId,
    /// The project of the ticket.
    pub project_id: ProjectId,
    /// What is to be done.
    #[serde(flatten)]
    pub kind: JobKind,
    /// HTTP(S) URL of the repository.
    #[serde(default, deserialize_with = "blank_as_none")]
    pub repo_url: Option<String>,
    /// Where it is to run.
    #[serde(default, deserialize_with = "null_as_default")]
    pub execution_mode: ExecutionMode,
    /// The repository on the host, for local execution.
    #[serde(default, deserialize_with = "blank_path_as_none")]
    pub project_path: Option<PathBuf>,
    /// Settings of the app for the agent; absent when the app has none.
    #[serde(default, deserialize_with = "null_as_default")]
    pub agent_env: AgentEnv,
}

/// What a job is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobKind {
    /// Implement a ticket and open a pull request.
    Ticket,
    /// Answer a review comment on a pull request.
    Review {
        /// Number of the pull request.
        pr_number: u64,
        /// Text of the comment.
        #[serde(default, deserialize_with = "null_as_default")]
        comment_body: String,
        /// Id of the comment on the forge.
        #[serde(default)]
        github_comment_id: Option<u64>,
    },
}

impl JobKind {
    /// The name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Review { .. } => "review",
        }
    }
}

/// Where a job runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionMode {
    /// In a container of its own.
    #[default]
    Docker,
    /// On the host, in a worktree of the project's path.
    Local,
}

/// Environment that the app hands to the agent. Any of it may be secret.
#[derive(Clone, Default)]
pub struct AgentEnv(BTreeMap<String, Secret>);

impl AgentEnv {
    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of a name, unless it is blank.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name).filter(|value| !value.is_blank())
    }
}

impl fmt::Debug for AgentEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for AgentEnv {
    /// Strings, numbers and booleans are taken; everything else is left out, without an error that
    /// could quote a secret.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Value::Object(raw) = Value::deserialize(deserializer)? else {
            return Ok(Self::default());
        };
        let known = raw.into_iter().filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, Secret::from(text))),
            Value::Number(number) => Some((name, Secret::from(number.to_string()))),
            Value::Bool(flag) => Some((name, Secret::from(flag.to_string()))),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        });
        Ok(Self(known.collect()))
    }
}

/// Why a job failed, for the app's record. The original app ignores it.
#[derive(Debug, Serialize, Deserialize)]
pub struct JobFailure {
    /// One line: cause and, where it helps, what to do.
    pub reason: String,
}

impl JobFailure {
    /// The failure as the app can store it.
    #[must_use]
    pub fn cleaned(&self) -> Self {
        Self { reason: clean_text(&self.reason) }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET_JOB: &str = r#"{"agent_env":{"GITHUB_TOKEN":"ghp_fake","WORKER_TIMEOUT_SEC":60},
        "execution_mode":"docker","job_id":"93863a0a-985e-474b-a6b2-40a89654e6bf","kind":"ticket",
        "project_id":"b0acb5a0-d0bc-4738-89d0-347ecd318506","project_path":null,
        "repo_url":"https://github.com/acme/demo","later_field":{"x":1},
        "ticket_id":"c1d437f0-01dc-40f1-84f8-cda84d4af8e3"}"#;

    #[test]
    fn a_ticket_job_is_read_as_the_original_app_sends_it() {
        let job: Job = serde_json::from_str(TICKET_JOB).unwrap();
        assert_eq!(job.kind, JobKind::Ticket);
        assert_eq!(job.execution_mode, ExecutionMode::Docker);
        assert_eq!(job.project_path, None);
        assert_eq!(job.agent_env.get("WORKER_TIMEOUT_SEC"), Some(&Secret::from("60")));
        assert!(!format!("{job:?}").contains("ghp_fake"));
    }

    #[test]
    fn a_review_job_carries_its_comment() {
        let text = TICKET_JOB.replace(
            r#""kind":"ticket""#,
            r#""kind":"review","pr_number":9,"comment_body":"Also add tests","github_comment_id":1003"#,
        );
        let job: Job = serde_json::from_str(&text).unwrap();
        let expected = JobKind::Review {
            pr_number: 9,
            comment_body: "Also add tests".to_owned(),
            github_comment_id: Some(1003),
        };
        assert_eq!(job.kind, expected);
    }

    #[test]
    fn agent_env_may_be_absent_or_null() {
        let absent = TICKET_JOB
            .replace(r#""agent_env":{"GITHUB_TOKEN":"ghp_fake","WORKER_TIMEOUT_SEC":60},"#, "");
        let job: Job = serde_json::from_str(&absent).unwrap();
        assert_eq!(job.agent_env.iter().count(), 0);
    }

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
