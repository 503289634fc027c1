//! Forges: finding, opening and updating the pull request of a branch, on GitHub, Gitea (Forgejo) and
//! GitLab alike.
//!
//! Invariants: a pull request that [`open_pull_request`] returns was read back from the forge: it is
//! open to the base branch and its head is the commit that was pushed. The token is in a header and nowhere else, and no
//! host but that of the API gets it. What differs between forges is in one file for each; how requests
//! are made, repeated and limited is in `http` alone.

mod any;
mod error;
mod gitea;
mod github;
mod gitlab;
mod http;
mod kind;
mod probe;
mod propose;
mod pull_request;
mod repository;
mod review;
mod template;
#[cfg(test)]
mod testing;

pub(crate) use self::any::AnyForge;
pub(crate) use self::error::ForgeError;
pub(crate) use self::kind::ForgeKind;
pub(crate) use self::propose::{Existing, open_pull_request};
pub(crate) use self::pull_request::{
    PullRequest, PullRequestDraft, PullRequestState, Readiness, UNTIL_CHECKS_PASS,
};
pub(crate) use self::review::{
    Account, AccountKind, Check, CheckState, Comment, Home, Line, Review, Reviewed, Thread,
    ThreadKind, ThreadState,
};
pub(crate) use self::template::template;

use crate::git::BranchName;

/// One repository on a forge, with the requests that publishing needs. Every request is repeated
/// where that may help, and is then as good as made once. A cancelled run changes nothing there any
/// more, except by a request that is under way; it may still look.
pub(crate) trait Forge {
    /// The open pull request from a branch to another, both of this repository: one that a person opened
    /// to another branch, or pointed there, is theirs.
    async fn find_open(
        &self,
        head: &BranchName,
        base: &BranchName,
    ) -> Result<Option<PullRequest>, ForgeError>;

    /// Opens a pull request, without labels and reviewers; if there is one for the branch, that one is
    /// returned.
    async fn create(&self, draft: &PullRequestDraft) -> Result<PullRequest, ForgeError>;

    /// Replaces the body of a pull request.
    async fn update_body(&self, number: u64, body: &str) -> Result<PullRequest, ForgeError>;

    /// Makes a pull request a draft, or ready.
    async fn set_readiness(&self, number: u64, readiness: Readiness) -> Result<(), ForgeError>;

    /// Reads a pull request.
    async fn read(&self, number: u64) -> Result<PullRequest, ForgeError>;

    /// Adds those of the labels that the repository knows; what is returned says of each other one
    /// why it was left out.
    async fn add_labels(&self, number: u64, labels: &[String]) -> Result<Vec<String>, ForgeError>;

    /// Asks people and teams for a review; what is returned says of each that could not be asked why.
    async fn request_reviews(
        &self,
        number: u64,
        reviewers: &[String],
    ) -> Result<Vec<String>, ForgeError>;
}

/// What is said of a label that is not there.
fn no_such_label(label: &str) -> String {
    format!("label {label:?} was not added: the repository has none of that name")
}

/// What is said of a reviewer who could not be asked.
fn not_asked(reviewer: &str, why: &impl std::fmt::Display) -> String {
    format!("{reviewer:?} was not asked for a review: {why}")
}
