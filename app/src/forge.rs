//! What a forge tells of a pull request, for the review loop: read-only.
//!
//! Invariants: nothing is changed on a forge from here; what a forge answers is bounded in time and
//! size; texts of comments are data, which no one here acts upon. What differs between forges is in one
//! file for each.

mod address;
mod client;
mod gitea;
mod github;
mod gitlab;
mod headers;
mod kept;
mod recent;
mod verdict;

use std::time::Duration;

use api_client::Secret;

use address::ForgeKind;
pub(crate) use address::{ForgeAddress, UnknownForge};
use client::Client;

use crate::clock::Timestamp;

/// A line of each comment of an agent, of this program or of the original one.
const SIGNATURE: &str = "<!-- terarchitect-bot -->";

/// A pull request as it was at one look.
#[derive(Clone, Debug)]
pub(crate) struct Pull {
    /// When the forge answered, by the forge's own clock: it goes with the times of its comments.
    pub(crate) seen_at: Timestamp,
    pub(crate) state: PullState,
}

#[derive(Clone, Debug)]
pub(crate) enum PullState {
    Open(Conversation),
    Merged,
    /// Closed without a merge.
    Closed,
}

/// What there is to react to on an open pull request.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    pub(crate) approval: Approval,
    /// Comments of all kinds in no particular order, those of agents among them.
    pub(crate) comments: Vec<Comment>,
    /// The checks that failed on the newest commit.
    pub(crate) failing: Vec<FailedCheck>,
}

/// Whether the pull request is approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approval {
    /// Someone approves, and nobody asks for changes.
    Given,
    Missing,
}

/// A comment, or the text of a review.
#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub(crate) id: CommentId,
    pub(crate) author: Author,
    pub(crate) body: String,
    pub(crate) written_at: Timestamp,
}

/// The number of a comment; each kind has its own on some forges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CommentId {
    pub(crate) kind: CommentKind,
    pub(crate) number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum CommentKind {
    /// On the pull request as a whole.
    Conversation,
    /// On a line.
    Inline,
    /// What a review says as a whole.
    Review,
}

/// Who wrote a comment, as far as the forge tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// An agent of ours, or the account that the token is of.
    Ourselves,
    /// Another program.
    Bot,
    /// No one of the project.
    Outsider,
    /// One of the project.
    Person,
}

/// A check that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailedCheck {
    pub(crate) name: String,
    /// The commit that it is of.
    pub(crate) commit: String,
    /// Its page, for people.
    pub(crate) page: Option<String>,
    /// When it ended.
    pub(crate) failed_at: Timestamp,
}

/// A forge did not tell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgeError {
    #[error("cannot set up HTTP for the forge")]
    Setup(#[source] reqwest::Error),
    #[error("github_agent_token is no text that a header can carry")]
    NoToken,
    #[error("no connection to {place} ({problem})")]
    NoConnection { place: String, problem: String },
    #[error("no answer from {place} ({problem})")]
    Unreachable { place: String, problem: String },
    #[error("{place} answered {status}; check github_agent_token and what it may read")]
    Refused { place: String, status: u16 },
    #[error("{place} answered 404: it is not there, or github_agent_token may not read it")]
    NotFound { place: String },
    #[error("{place} wants no requests for {} s", pause.as_secs())]
    RateLimited { place: String, pause: Duration },
    #[error("the answer of {place} is of no use: {problem}")]
    Malformed { place: String, problem: String },
}

/// One repository on a forge.
#[derive(Debug)]
pub(crate) enum Forge {
    GitHub(github::GitHub),
    Gitea(gitea::Gitea),
    GitLab(gitlab::GitLab),
}

impl Forge {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// When no HTTP client can be set up for it.
    pub(crate) fn new(address: &ForgeAddress, token: &Secret) -> Result<Self, ForgeError> {
        let client = Client::new(address.api.clone(), token)?;
        Ok(match address.kind {
            ForgeKind::GitHub => Self::GitHub(github::GitHub::new(client, &address.path)),
            ForgeKind::Gitea => Self::Gitea(gitea::Gitea::new(client, &address.path)),
            ForgeKind::GitLab => Self::GitLab(gitlab::GitLab::new(client, &address.path)),
        })
    }

    /// A pull request as it is now.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub(crate) async fn look(&self, number: u64) -> Result<Pull, ForgeError> {
        match self {
            Self::GitHub(forge) => forge.look(number).await,
            Self::Gitea(forge) => forge.look(number).await,
            Self::GitLab(forge) => forge.look(number).await,
        }
    }
}

impl CommentKind {
    pub(crate) const ALL: [Self; 3] = [Self::Conversation, Self::Inline, Self::Review];

    /// The word in the database.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Inline => "inline",
            Self::Review => "review",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What is known of an author: `standing` is what the forge says with the comment.
fn author(login: &str, own: Option<&str>, body: &str, standing: Author) -> Author {
    // Who quotes an agent has the line too, after a `>`.
    let signed = body.lines().any(|line| line.trim() == SIGNATURE);
    if signed || own.is_some_and(|own| own.eq_ignore_ascii_case(login)) {
        Author::Ourselves
    } else if login.ends_with("[bot]") {
        Author::Bot
    } else {
        standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_comments_are_known_by_signature_or_account_and_bots_by_name() {
        let who = |login, body| author(login, Some("agents"), body, Author::Person);
        assert_eq!(who("ann", "please rename"), Author::Person);
        assert_eq!(who("Agents", "done"), Author::Ourselves);
        assert_eq!(who("ann", "done\n\n<!-- terarchitect-bot -->"), Author::Ourselves);
        let quoted = "> done\n> <!-- terarchitect-bot -->\n\nNot quite.";
        assert_eq!(who("ann", quoted), Author::Person);
        assert_eq!(who("renovate[bot]", "update"), Author::Bot);
        assert_eq!(author("agents", None, "x", Author::Outsider), Author::Outsider);
    }

    #[test]
    fn a_kind_of_comment_reads_back_as_it_was_written() {
        for kind in CommentKind::ALL {
            assert_eq!(CommentKind::of_name(kind.name()), Some(kind));
        }
    }
}
