//! What a review of a pull request needs: where its branch is, what was said of it, and its checks.

mod bots;

pub(super) use self::bots::account_kind;

use api_client::Association;

use super::{AnyForge, ForgeError, PullRequestState};
use crate::git::CommitId;

/// How much of the end of a check's log is read, in bytes.
pub(super) const LOG_MAX: usize = 64 << 10;

/// A pull request, as somebody who is to work on it must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reviewed {
    /// Its number in the repository.
    pub(crate) number: u64,
    /// Its page, for people.
    pub(crate) url: String,
    /// Its text as the forge keeps it: Markdown.
    pub(crate) body: String,
    /// The branch with its changes, as the forge names it; not judged yet.
    pub(crate) head: String,
    /// Where that branch is.
    pub(crate) home: Home,
    /// The branch that it is to go to.
    pub(crate) base: String,
    /// Whether it is open.
    pub(crate) state: PullRequestState,
}

/// The repository that a pull request's branch is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// The one that it is to go to.
    Here,
    /// Another: a fork, or one that is gone.
    Elsewhere,
}

/// What belongs together of all that was said on a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thread {
    /// What it is about.
    pub(crate) kind: ThreadKind,
    /// The forge's name of it among those of its kind: digits and letters.
    pub(crate) id: String,
    /// What a reply in it is addressed to, where that is not `id`.
    pub(crate) address: Option<String>,
    /// Where it stands, of one at a line.
    pub(crate) place: Option<Place>,
    /// The lines of the change that it stands at, as a patch has them, where the forge tells.
    pub(crate) hunk: Option<String>,
    /// Whether somebody closed it.
    pub(crate) state: ThreadState,
    /// What was said, oldest first; never empty.
    pub(crate) comments: Vec<Comment>,
}

/// What a thread is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ThreadKind {
    /// A line of the change.
    Line,
    /// The whole, as the text of a review.
    Review,
    /// The whole.
    Conversation,
}

/// Whether a thread still waits for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThreadState {
    /// As far as anybody said.
    Open,
    /// Somebody marked it as settled.
    Resolved,
}

/// One comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Comment {
    /// The forge's number of it among those of its kind.
    pub(crate) id: u64,
    /// Who wrote it.
    pub(crate) author: Account,
    /// Markdown.
    pub(crate) body: String,
    /// When, in the forge's words: later ones are greater.
    pub(crate) at: String,
}

/// Who wrote a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Empty where the account is gone.
    pub(crate) login: String,
    /// Whose it is.
    pub(crate) kind: AccountKind,
    /// What it has to do with the repository, where that is anything.
    pub(crate) association: Option<Association>,
}

/// Whose an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccountKind {
    /// A person's, as far as the forge tells.
    Person,
    /// A program's.
    Bot,
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
    /// What it says of itself in a few words.
    pub(crate) words: Option<String>,
    /// By which its log is had, where the forge keeps one.
    pub(crate) job: Option<u64>,
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
pub(crate) trait Review {
    /// The login that belongs to the token; nothing where the token is nobody's, as that of an App.
    async fn own_login(&self) -> Result<Option<String>, ForgeError>;

    /// Reads a pull request.
    async fn reviewed(&self, number: u64) -> Result<Reviewed, ForgeError>;

    /// All that was said on it, each thread in the order of the forge.
    async fn discussion(&self, number: u64) -> Result<Vec<Thread>, ForgeError>;

    /// Says something on a pull request as a whole.
    async fn comment(&self, number: u64, body: &str) -> Result<(), ForgeError>;

    /// Answers in a thread, or on the whole where that has no threads.
    async fn reply(&self, number: u64, to: &Thread, body: &str) -> Result<(), ForgeError>;

    /// The checks of a commit.
    async fn checks(&self, commit: CommitId) -> Result<Vec<Check>, ForgeError>;

    /// The end of what a check wrote, where the forge keeps and shows that.
    async fn log_of(&self, check: &Check) -> Result<Option<String>, ForgeError>;
}

impl CheckState {
    /// What the forges' words mean; a word that we do not know is of a check that is not over.
    pub(super) fn of_word(word: &str) -> Self {
        match word {
            "success" | "warning" => Self::Passed,
            "failure" | "error" | "failed" | "timed_out" | "startup_failure" => Self::Failed,
            // What somebody stopped, or has yet to allow, no change of the code mends.
            "neutral" | "skipped" | "stale" | "manual" | "cancelled" | "canceled"
            | "action_required" => Self::Neutral,
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

/// A thread of one comment, which has its number.
pub(super) fn alone(kind: ThreadKind, comment: Comment) -> Thread {
    Thread {
        kind,
        id: comment.id.to_string(),
        address: None,
        place: None,
        hunk: None,
        state: ThreadState::Open,
        comments: vec![comment],
    }
}

/// Does the same with whichever forge it is.
macro_rules! on {
    ($any:expr, $forge:ident => $done:expr) => {
        match $any {
            AnyForge::GitHub($forge) => $done,
            AnyForge::Gitea($forge) => $done,
            AnyForge::GitLab($forge) => $done,
        }
    };
}

impl Review for AnyForge {
    async fn own_login(&self) -> Result<Option<String>, ForgeError> {
        on!(self, forge => forge.own_login().await)
    }

    async fn reviewed(&self, number: u64) -> Result<Reviewed, ForgeError> {
        on!(self, forge => forge.reviewed(number).await)
    }

    async fn discussion(&self, number: u64) -> Result<Vec<Thread>, ForgeError> {
        on!(self, forge => forge.discussion(number).await)
    }

    async fn comment(&self, number: u64, body: &str) -> Result<(), ForgeError> {
        on!(self, forge => forge.comment(number, body).await)
    }

    async fn reply(&self, number: u64, to: &Thread, body: &str) -> Result<(), ForgeError> {
        on!(self, forge => forge.reply(number, to, body).await)
    }

    async fn checks(&self, commit: CommitId) -> Result<Vec<Check>, ForgeError> {
        on!(self, forge => forge.checks(commit).await)
    }

    async fn log_of(&self, check: &Check) -> Result<Option<String>, ForgeError> {
        on!(self, forge => forge.log_of(check).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_change_of_the_code_mends_has_not_failed() {
        for word in ["failure", "failed", "error", "timed_out", "startup_failure"] {
            assert_eq!(CheckState::of_word(word), CheckState::Failed, "{word}");
        }
        for word in ["cancelled", "canceled", "action_required", "skipped"] {
            assert_eq!(CheckState::of_word(word), CheckState::Neutral, "{word}");
        }
    }
}
