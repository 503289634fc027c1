//! What a review of a pull request needs: its comments and its checks.

use super::{AnyForge, ForgeError};
use crate::git::CommitId;

/// A comment on a line of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReviewComment {
    /// The forge's number of it.
    pub(crate) id: u64,
    /// What it shares with the other comments of its thread, as the forge names it.
    pub(crate) thread: String,
    /// The login of who wrote it; empty where the account is gone.
    pub(crate) author: String,
    /// Markdown.
    pub(crate) body: String,
    /// Where it stands.
    pub(crate) place: Place,
}

/// A line of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file.
    pub(crate) path: String,
    /// The line; absent where it is no part of the change any more.
    pub(crate) line: Option<Line>,
}

/// The number of a line, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// In the file as it was.
    Old(u64),
    /// In the file as it is to be.
    New(u64),
}

/// A check of a commit, by whatever runs on the forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Its name.
    pub(crate) name: String,
    /// How it stands.
    pub(crate) state: CheckState,
    /// Its page, for people.
    pub(crate) url: Option<String>,
}

/// How a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckState {
    /// It is not over.
    Pending,
    /// It found nothing wrong.
    Passed,
    /// It found something wrong, or could not be carried out.
    Failed,
    /// It was left out, or does not judge.
    Neutral,
}

/// One repository on a forge, with the requests that a review needs. What people would see twice is not
/// repeated when it may have arrived.
// Not `expect`: the compiler does not report a trait's methods, only what nothing but they use.
#[allow(dead_code, reason = "for review jobs")]
pub(crate) trait Review {
    /// Says something on a pull request as a whole.
    async fn comment(&self, number: u64, body: &str) -> Result<(), ForgeError>;

    /// All comments on lines, in the order of the forge.
    async fn review_comments(&self, number: u64) -> Result<Vec<ReviewComment>, ForgeError>;

    /// Answers in the thread of a comment.
    async fn reply(&self, number: u64, to: &ReviewComment, body: &str) -> Result<(), ForgeError>;

    /// The checks of a commit.
    async fn checks(&self, commit: CommitId) -> Result<Vec<Check>, ForgeError>;
}

impl CheckState {
    /// What the forges' words mean; a word that we do not know is of a check that is not over.
    pub(super) fn of_word(word: &str) -> Self {
        match word {
            "success" | "warning" => Self::Passed,
            "failure" | "error" | "failed" | "timed_out" | "action_required"
            | "startup_failure" | "cancelled" | "canceled" => Self::Failed,
            "neutral" | "skipped" | "stale" | "manual" => Self::Neutral,
            _ => Self::Pending,
        }
    }
}

impl Line {
    /// A line of which the forge tells both numbers, or one; new lines and those that stay have a new
    /// one.
    pub(super) fn of_numbers(old: Option<u64>, new: Option<u64>) -> Option<Self> {
        let given = |number: Option<u64>| number.filter(|number| *number > 0);
        given(new).map(Self::New).or_else(|| given(old).map(Self::Old))
    }
}

impl Review for AnyForge {
    async fn comment(&self, number: u64, body: &str) -> Result<(), ForgeError> {
        match self {
            Self::GitHub(forge) => forge.comment(number, body).await,
            Self::Gitea(forge) => forge.comment(number, body).await,
            Self::GitLab(forge) => forge.comment(number, body).await,
        }
    }

    async fn review_comments(&self, number: u64) -> Result<Vec<ReviewComment>, ForgeError> {
        match self {
            Self::GitHub(forge) => forge.review_comments(number).await,
            Self::Gitea(forge) => forge.review_comments(number).await,
            Self::GitLab(forge) => forge.review_comments(number).await,
        }
    }

    async fn reply(&self, number: u64, to: &ReviewComment, body: &str) -> Result<(), ForgeError> {
        match self {
            Self::GitHub(forge) => forge.reply(number, to, body).await,
            Self::Gitea(forge) => forge.reply(number, to, body).await,
            Self::GitLab(forge) => forge.reply(number, to, body).await,
        }
    }

    async fn checks(&self, commit: CommitId) -> Result<Vec<Check>, ForgeError> {
        match self {
            Self::GitHub(forge) => forge.checks(commit).await,
            Self::Gitea(forge) => forge.checks(commit).await,
            Self::GitLab(forge) => forge.checks(commit).await,
        }
    }
}
