//! The parts of an outcome: what was worked on, what came of it, and what it took.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::UtcTime;

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

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedFacts {
    /// When it may go on.
    pub until: UtcTime,
    /// Whose limit it is, and what was said of it.
    pub what: String,
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

/// What became of one thread of a review, or of one comment outside of any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadFacts {
    /// The forge's name of it: `line:…` of a thread at a line, `review:…` of a review's own text,
    /// `comment:…` of a comment on the whole.
    pub id: String,
    /// The login of who wrote what was answered.
    pub author: String,
    /// The file, where it is at one; relative to the root of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The line in that file, from 1; in the old file where the line is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// How it ends.
    pub ending: ThreadEnding,
    /// The commit that has what was changed for it, 40 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The reply, for people; its beginning where it is long.
    pub reply: String,
    /// Whether the reply is on the forge.
    pub replied: bool,
}

/// How a thread of a review ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadEnding {
    /// What it asks for is done, in a commit that was pushed.
    Fixed,
    /// It was a question, and has an answer.
    Answered,
    /// It is not done; the reply has the reason.
    Declined,
}
