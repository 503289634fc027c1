//! GitLab's answers as values. Pure.

use serde::Deserialize;
use serde_json::Value;

use super::MARK;
use crate::forge::http::{parse, parse_each};
use crate::forge::{self, ForgeError, Home, PullRequest, PullRequestState, Readiness};
use crate::git::BranchName;

/// The title of a merge request.
#[derive(Deserialize)]
pub(super) struct Titled {
    pub(super) title: String,
}

/// Who was asked for a review.
#[derive(Deserialize)]
pub(super) struct Reviewed {
    #[serde(default)]
    reviewers: Vec<User>,
}

/// A person with an account.
#[derive(Deserialize)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) username: String,
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    web_url: String,
    state: String,
    title: String,
    description: Option<String>,
    /// Absent on older versions.
    draft: Option<bool>,
    /// Absent until GitLab has looked at the branch.
    sha: Option<String>,
    source_branch: String,
    target_branch: String,
    /// Absent where the fork is gone.
    source_project_id: Option<u64>,
    target_project_id: u64,
}

impl Reviewed {
    pub(super) fn ids(&self) -> Vec<u64> {
        self.reviewers.iter().map(|user| user.id).collect()
    }
}

impl MergeRequest {
    fn state(&self) -> PullRequestState {
        match self.state.as_str() {
            "opened" => PullRequestState::Open,
            _ => PullRequestState::Closed,
        }
    }

    fn home(&self) -> Home {
        match self.source_project_id == Some(self.target_project_id) {
            true => Home::Here,
            false => Home::Elsewhere,
        }
    }
}

impl From<MergeRequest> for forge::Reviewed {
    fn from(request: MergeRequest) -> Self {
        Self {
            state: request.state(),
            home: request.home(),
            number: request.iid,
            url: request.web_url,
            body: request.description.unwrap_or_default(),
            head: request.source_branch,
            base: request.target_branch,
        }
    }
}

impl From<MergeRequest> for PullRequest {
    fn from(request: MergeRequest) -> Self {
        let state = request.state();
        let draft = request.draft.unwrap_or_else(|| MARK.is_on(&request.title));
        let readiness = Readiness::shown(draft, request.description.as_deref());
        let head_sha = request.sha.unwrap_or_default();
        let (number, url, base) = (request.iid, request.web_url, request.target_branch);
        Self { number, url, head_sha, base, state, readiness }
    }
}

/// A merge request.
pub(super) fn merge_request(
    attempted: &'static str,
    value: Value,
) -> Result<PullRequest, ForgeError> {
    parse::<MergeRequest>(attempted, value).map(PullRequest::from)
}

/// A merge request that is to be worked on.
pub(super) fn reviewed(
    attempted: &'static str,
    value: Value,
) -> Result<forge::Reviewed, ForgeError> {
    parse::<MergeRequest>(attempted, value).map(forge::Reviewed::from)
}

/// The first merge request of a list from this branch to that one, both in the project itself.
pub(super) fn first_between(
    attempted: &'static str,
    values: Vec<Value>,
    head: &BranchName,
    base: &BranchName,
) -> Result<Option<PullRequest>, ForgeError> {
    let found = parse_each::<MergeRequest>(attempted, values)?.into_iter().find(|request| {
        request.source_branch == head.as_str()
            && request.target_branch == base.as_str()
            && request.home() == Home::Here
    });
    Ok(found.map(PullRequest::from))
}
