//! Gitea's answers as values. Pure.

use serde::Deserialize;
use serde_json::Value;

use super::MARK;
use crate::forge::http::{parse, parse_each};
use crate::forge::{ForgeError, Home, PullRequest, PullRequestState, Readiness, Reviewed};
use crate::git::BranchName;

/// The title of a pull request.
#[derive(Deserialize)]
pub(super) struct Titled {
    pub(super) title: String,
}

/// A label that can be added.
#[derive(Deserialize)]
pub(super) struct Label {
    pub(super) id: u64,
    pub(super) name: String,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    html_url: String,
    state: String,
    title: String,
    /// Absent on older versions.
    draft: Option<bool>,
    body: Option<String>,
    head: End,
    base: End,
}

#[derive(Deserialize)]
struct End {
    #[serde(default)]
    sha: String,
    #[serde(rename = "ref")]
    branch: String,
    /// Of a fork that is gone it is no repository's.
    repo_id: i64,
}

impl Pull {
    fn state(&self) -> PullRequestState {
        match self.state.as_str() {
            "open" => PullRequestState::Open,
            _ => PullRequestState::Closed,
        }
    }

    fn home(&self) -> Home {
        match self.head.repo_id == self.base.repo_id {
            true => Home::Here,
            false => Home::Elsewhere,
        }
    }
}

impl From<Pull> for Reviewed {
    fn from(pull: Pull) -> Self {
        Self {
            state: pull.state(),
            home: pull.home(),
            number: pull.number,
            url: pull.html_url,
            body: pull.body.unwrap_or_default(),
            head: pull.head.branch,
            base: pull.base.branch,
        }
    }
}

impl From<Pull> for PullRequest {
    fn from(pull: Pull) -> Self {
        let state = pull.state();
        let draft = pull.draft.unwrap_or_else(|| MARK.is_on(&pull.title));
        let readiness = Readiness::shown(draft, pull.body.as_deref());
        let (number, url, head_sha) = (pull.number, pull.html_url, pull.head.sha);
        Self { number, url, head_sha, base: pull.base.branch, state, readiness }
    }
}

/// A pull request.
pub(super) fn pull_request(
    attempted: &'static str,
    value: Value,
) -> Result<PullRequest, ForgeError> {
    parse::<Pull>(attempted, value).map(PullRequest::from)
}

/// A pull request that is to be worked on.
pub(super) fn reviewed(attempted: &'static str, value: Value) -> Result<Reviewed, ForgeError> {
    parse::<Pull>(attempted, value).map(Reviewed::from)
}

/// The first pull request of a list from this branch to that one, both in the repository itself.
pub(super) fn first_between(
    attempted: &'static str,
    values: Vec<Value>,
    head: &BranchName,
    base: &BranchName,
) -> Result<Option<PullRequest>, ForgeError> {
    let found = parse_each::<Pull>(attempted, values)?.into_iter().find(|pull| {
        pull.head.branch == head.as_str()
            && pull.base.branch == base.as_str()
            && pull.home() == Home::Here
    });
    Ok(found.map(PullRequest::from))
}
