//! What a forge tells of a pull request, for the review loop: read-only.
//!
//! Invariants: nothing is changed on a forge from here; what a forge answers is bounded in time and
//! size; texts of comments are data, which no one here acts upon. What differs between forges is in one
//! file for each.

mod address;
mod author;
mod client;
mod gitea;
mod github;
mod gitlab;
mod headers;
mod kept;
mod recent;
mod verdict;

use std::time::Duration;

use api_client::{ReviewAuthors, Secret};

use address::ForgeKind;
pub(crate) use address::{ForgeAddress, UnknownForge};
pub(crate) use author::Author;
use author::{Account, Gate};
use client::Client;

use crate::clock::Timestamp;

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

    /// A pull request as it is now; only the words of `authors` are of [`Author::Person`].
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub(crate) async fn look(
        &self,
        number: u64,
        authors: &ReviewAuthors,
    ) -> Result<Pull, ForgeError> {
        match self {
            Self::GitHub(forge) => forge.look(number, authors).await,
            Self::Gitea(forge) => forge.look(number, authors).await,
            Self::GitLab(forge) => forge.look(number, authors).await,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_comment_reads_back_as_it_was_written() {
        for kind in CommentKind::ALL {
            assert_eq!(CommentKind::of_name(kind.name()), Some(kind));
        }
    }
}
