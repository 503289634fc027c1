//! The outcome of one run of the agent, as one JSON document.
//!
//! The runner writes it to the file that [`env::OUTCOME_FILE`](crate::contract::env::OUTCOME_FILE) names;
//! the coordinator collects it from there. `docs/outcome.md` describes it for people. Fields are only
//! ever added; when one changes its meaning, [`OUTCOME_VERSION`] does as well.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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

/// What was worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryFacts {
    /// URL without credentials.
    pub url: String,
    /// The branch of the work.
    pub branch: String,
    /// The branch that the work is to go to.
    pub base_branch: String,
    /// The commit of the base that the work began at, 40 hexadecimal digits.
    pub base_commit: String,
    /// Where the base was when the work was published, if it had moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_moved_to: Option<String>,
}

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitFacts {
    /// 40 hexadecimal digits.
    pub id: String,
    /// First line of its message.
    pub subject: String,
}

/// How much is different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffFacts {
    /// Files that differ.
    pub files: usize,
    /// Lines that are new.
    pub insertions: usize,
    /// Lines that are gone.
    pub deletions: usize,
}

/// A pull request (or merge request) as the forge showed it last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestFacts {
    /// Its page.
    pub url: String,
    /// Its number in the repository.
    pub number: u64,
    /// The commit at its head, 40 hexadecimal digits.
    pub head: String,
    /// Whether it is a draft.
    #[serde(default)]
    pub draft: bool,
}

/// Unfinished work that was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescueFacts {
    /// The branch on the remote.
    pub branch: String,
    /// Its commit, 40 hexadecimal digits.
    pub commit: String,
}

/// A command of the repository, as it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckFacts {
    /// What it is for.
    pub kind: CheckKind,
    /// The command line.
    pub command: String,
    /// Its exit code; absent where a signal or the time limit ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// How long it ran, in milliseconds.
    pub millis: u64,
    /// The end of what it wrote; a few KiB.
    pub tail: String,
}

/// What a command of the repository is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// It makes the work tree ready.
    Setup,
    /// It tells whether the work is good.
    Check,
}

/// Something in the changes that somebody should know of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// What was found.
    pub kind: FindingKind,
    /// The file, relative to the root of the repository; empty where a commit's message is meant.
    pub path: PathBuf,
    /// The line in the new file, from 1, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// More, for people; never the value of a secret.
    pub detail: String,
}

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A secret would be published: blocks.
    Secret,
    /// A path that the agent may not touch: blocks.
    ForbiddenPath,
    /// A file too large for the repository: blocks.
    LargeFile,
    /// A test file is gone.
    TestDeleted,
    /// A test is skipped that was not.
    TestSkipped,
    /// A test asserts less than it did.
    TestWeakened,
    /// The repository's rules for the agent are changed; they hold from when that is merged.
    RulesChanged,
}

impl FindingKind {
    /// Whether work with such a finding is not published.
    #[must_use]
    pub const fn blocks(self) -> bool {
        match self {
            Self::Secret | Self::ForbiddenPath | Self::LargeFile => true,
            Self::TestDeleted | Self::TestSkipped | Self::TestWeakened | Self::RulesChanged => {
                false
            }
        }
    }
}

/// One turn of the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnFacts {
    /// How it ended, in one word (`finished`, `auth_failed`, …).
    pub ending: String,
    /// The same for people.
    pub detail: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// Its tokens.
    pub tokens: TokenFacts,
    /// Events of the CLI that were not understood.
    #[serde(default)]
    pub unknown_events: u64,
}

/// Tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenFacts {
    /// Read by the model, those from its cache not among them.
    pub input: u64,
    /// Read from the model's cache.
    pub cached: u64,
    /// Written by the model.
    pub output: u64,
}

/// The Director, and what it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectorFacts {
    /// The model that answered last, else the one that is asked first.
    pub model: String,
    /// How often models were asked, answers that could not be used among them.
    pub calls: u64,
    /// Tokens of all calls; those of the worker are apart.
    pub tokens: TokenFacts,
    /// What they cost in US dollars, where prices are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money_usd: Option<f64>,
    /// What the plan came to, once it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanOutcome>,
    /// How many turns of the worker it judged.
    pub assessments: u32,
}

/// What a plan came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanOutcome {
    /// The Director approved it.
    Approved,
    /// The Director did not, and the work went on with it.
    NotApproved,
}

/// One part of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseFacts {
    /// Its name (`prepare`, `clone`, `setup`, `worker`, `check`, `publish`, …).
    pub name: String,
    /// When it began, in milliseconds since the runner's start.
    pub began_millis: u64,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// The coding CLI and its model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerFacts {
    /// Its name in `WORKER_MODE`.
    pub cli: String,
    /// Its version, where it said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The model that was asked for, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const SCHEMA: &str = include_str!("../../docs/outcome.schema.json");
    const PAGE: &str = include_str!("../../docs/outcome.md");

    #[test]
    fn a_document_of_a_later_runner_can_be_read() {
        let text = r#"{"version":1,"verdict":"no_changes","cause":"no_changes","summary":"s",
            "runner_version":"9.9.9","later":{"field":1}}"#;
        let document: OutcomeDocument = serde_json::from_str(text).unwrap();
        assert_eq!(document.verdict, Verdict::NoChanges);
        assert_eq!(document.tokens, TokenFacts::default());
    }

    #[test]
    fn the_documented_example_has_every_field_of_the_type_and_of_the_schema() {
        let (_, rest) = PAGE.split_once("```json\n").unwrap();
        let example: Value = serde_json::from_str(rest.split_once("```").unwrap().0).unwrap();
        let document: OutcomeDocument = serde_json::from_value(example.clone()).unwrap();
        assert_eq!(serde_json::to_value(&document).unwrap(), example);
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        conforms(&example, &schema, &schema, "document");
        // Nothing is left out of it, so that the example and the schema show all there is.
        let OutcomeDocument { job, ticket, repository, diff, pull_request, .. } = document;
        assert!(job.is_some() && ticket.is_some() && diff.is_some() && pull_request.is_some());
        assert!(repository.unwrap().base_moved_to.is_some());
    }

    #[test]
    fn the_schema_knows_every_word_that_the_type_has() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let words = |pointer: &str| schema.pointer(pointer).unwrap().as_array().unwrap().clone();
        assert_eq!(words("/properties/cause/enum"), AgentExit::ALL.map(word));
        let verdicts = [
            Verdict::Delivered,
            Verdict::NoChanges,
            Verdict::ChecksFailed,
            Verdict::Partial,
            Verdict::Blocked,
            Verdict::Failed,
        ];
        assert_eq!(words("/properties/verdict/enum"), verdicts.map(word));
        let kinds = [
            FindingKind::Secret,
            FindingKind::ForbiddenPath,
            FindingKind::LargeFile,
            FindingKind::TestDeleted,
            FindingKind::TestSkipped,
            FindingKind::TestWeakened,
            FindingKind::RulesChanged,
        ];
        let pointer = "/properties/findings/items/properties/kind/enum";
        assert_eq!(words(pointer), kinds.map(word));
    }

    fn word(value: impl Serialize) -> Value {
        serde_json::to_value(value).unwrap()
    }

    /// Checks a value against the few words of JSON Schema that ours uses, and that it has every property.
    fn conforms(value: &Value, schema: &Value, root: &Value, at: &str) {
        if let Some(path) = schema["$ref"].as_str() {
            return conforms(value, root.pointer(&path[1..]).unwrap(), root, at);
        }
        if let Some(words) = schema["enum"].as_array() {
            assert!(words.contains(value), "{at}: {value}");
        }
        match (schema["type"].as_str(), value) {
            (Some("object"), Value::Object(fields)) => {
                let known = schema["properties"].as_object().unwrap();
                let mut names = [fields.keys().collect::<Vec<_>>(), known.keys().collect()];
                names.iter_mut().for_each(|names| names.sort());
                assert_eq!(names[0], names[1], "{at}");
                for name in schema["required"].as_array().unwrap() {
                    assert!(known.contains_key(name.as_str().unwrap()), "{at}: {name}");
                }
                for (name, value) in fields {
                    conforms(value, &known[name], root, &format!("{at}.{name}"));
                }
            }
            (Some("array"), Value::Array(values)) => {
                assert!(!values.is_empty(), "{at} has no example");
                values.iter().for_each(|value| conforms(value, &schema["items"], root, at));
            }
            (Some("string"), Value::String(_))
            | (Some("integer" | "number"), Value::Number(_))
            | (Some("boolean"), Value::Bool(_))
            | (None, _) => {}
            (kind, _) => panic!("{at}: {value} is no {kind:?}"),
        }
    }
}
