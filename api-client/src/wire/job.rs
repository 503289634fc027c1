//! A job: how it is asked for, handed out, held and reported.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{blank_as_none, blank_path_as_none, clean_text, null_as_default};
use crate::{ClaimId, JobId, ProjectId, Secret, TicketId, UtcTime};

/// Body of a claim.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// Only jobs of this project, or of any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// Names this claim, so that asking again after a lost answer brings the same job. An app that
    /// does not know the field ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_id: Option<ClaimId>,
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
    /// How the job is held, where the app offers leases.
    #[serde(default)]
    pub lease: Option<Lease>,
}

/// The terms on which an app hands out a job: a claim that is not renewed for this long may be given
/// to someone else, and what its holder says about the job is refused from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The claim that holds the job.
    pub claim_id: ClaimId,
    /// How long it holds without being renewed, in seconds.
    pub lease_sec: u64,
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

/// Body of the renewal of a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBy {
    /// The claim by which the sender holds the job, where the app offers leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_id: Option<ClaimId>,
}

/// What the models of one run read, wrote and cost, Director and worker together. The original app ignores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobUsage {
    /// Tokens read, those from a cache not among them.
    #[serde(default)]
    pub input: u64,
    /// Tokens read from a cache.
    #[serde(default)]
    pub cached: u64,
    /// Tokens written.
    #[serde(default)]
    pub output: u64,
    /// What they cost in US dollars, where prices are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money_usd: Option<f64>,
}

/// Body of the report of a job's completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobCompletion {
    /// The claim by which the sender holds the job, where the app offers leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_id: Option<ClaimId>,
    /// What it used, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<JobUsage>,
}

impl From<HeldBy> for JobCompletion {
    fn from(HeldBy { claim_id }: HeldBy) -> Self {
        Self { claim_id, usage: None }
    }
}

/// Body of the report that a job is to go on later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPause {
    /// The claim by which the sender holds the job.
    pub claim_id: ClaimId,
    /// When it may go on.
    pub until: UtcTime,
    /// One line: whose limit it is.
    pub reason: String,
    /// What it used, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<JobUsage>,
}

impl JobPause {
    /// The pause as the app can store it.
    #[must_use]
    pub fn cleaned(&self) -> Self {
        Self { reason: clean_text(&self.reason), ..self.clone() }
    }
}

/// What the app made of the report of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "ParkAnswer")]
pub enum Parked {
    /// The job is handed out again when the pause is over.
    Waits,
    /// It was parked too often, and has failed.
    Failed,
    /// It was to be cancelled, and is.
    Cancelled,
}

/// As the app sends it: `status` is there where the job has not been parked.
#[derive(Deserialize)]
struct ParkAnswer {
    #[serde(default)]
    status: Option<ParkStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ParkStatus {
    Failed,
    Cancelled,
    /// Whatever else an app calls a job that waits.
    #[serde(other)]
    Other,
}

impl From<ParkAnswer> for Parked {
    fn from(answer: ParkAnswer) -> Self {
        match answer.status {
            None | Some(ParkStatus::Other) => Self::Waits,
            Some(ParkStatus::Failed) => Self::Failed,
            Some(ParkStatus::Cancelled) => Self::Cancelled,
        }
    }
}

/// Why a job failed, for the app's record. The original app ignores it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobFailure {
    /// One line: cause and, where it helps, what to do.
    pub reason: String,
    /// The kind of cause in one word, for programs: `cancelled`, `deadline`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The claim by which the sender holds the job, where the app offers leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_id: Option<ClaimId>,
    /// What it used, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<JobUsage>,
}

impl JobFailure {
    /// The failure as the app can store it.
    #[must_use]
    pub fn cleaned(&self) -> Self {
        Self { reason: clean_text(&self.reason), ..self.clone() }
    }
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
    fn only_an_app_with_leases_says_how_a_job_is_held() {
        let job: Job = serde_json::from_str(TICKET_JOB).unwrap();
        assert_eq!(job.lease, None);
        let claim = ClaimId::random();
        let lease = format!(r#"{{"lease":{{"claim_id":"{claim}","lease_sec":90}},"#);
        let job: Job = serde_json::from_str(&TICKET_JOB.replacen('{', &lease, 1)).unwrap();
        assert_eq!(job.lease, Some(Lease { claim_id: claim, lease_sec: 90 }));
    }

    #[test]
    fn an_app_says_what_it_made_of_a_pause() {
        let read = |text: &str| serde_json::from_str::<Parked>(text).ok();
        assert_eq!(read(r#"{"job_id":"1","until":"2026-11-21T12:30:00Z"}"#), Some(Parked::Waits));
        assert_eq!(read(r#"{"job_id":"1","status":"failed"}"#), Some(Parked::Failed));
        assert_eq!(read(r#"{"job_id":"1","status":"cancelled"}"#), Some(Parked::Cancelled));
        assert_eq!(read(r#"{"job_id":"1","status":"pending"}"#), Some(Parked::Waits));
        assert_eq!(read("<html>"), None);
    }
}
