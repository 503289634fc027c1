//! GitHub's answers as values. Pure.

use serde::Deserialize;
use serde_json::Value;

use crate::forge::http::{parse, parse_each};
use crate::forge::{ForgeError, Home, PullRequest, PullRequestState, Readiness, Reviewed};
use crate::git::BranchName;

/// The name of a pull request in the GraphQL API.
#[derive(Deserialize)]
pub(super) struct Node {
    pub(super) node_id: String,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    html_url: String,
    state: String,
    #[serde(default)]
    draft: bool,
    body: Option<String>,
    head: End,
    base: End,
}

#[derive(Deserialize)]
struct End {
    sha: String,
    #[serde(rename = "ref")]
    branch: String,
    /// Absent where the fork is gone.
    repo: Option<Repo>,
}

#[derive(Deserialize, PartialEq, Eq)]
struct Repo {
    id: u64,
}

impl Pull {
    fn state(&self) -> PullRequestState {
        match self.state.as_str() {
            "open" => PullRequestState::Open,
            _ => PullRequestState::Closed,
        }
    }

    /// Forks, also of the same owner, have branches of the same name.
    fn home(&self) -> Home {
        match self.head.repo.is_some() && self.head.repo == self.base.repo {
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
        let readiness = Readiness::shown(pull.draft, pull.body.as_deref());
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

/// The first pull request of a list from this branch to that one, both in the repository itself: GitHub
/// ignores a filter that it does not understand.
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

/// Whether the pull request could not be opened because there is one.
pub(super) fn says_it_exists(error: &ForgeError) -> bool {
    matches!(error, ForgeError::Refused { status: 422, message, .. }
        if message.contains("already exists"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// From a branch of the repository of this id to `main` of repository 1.
    fn pull(number: u64, branch: &str, repo: u64) -> Value {
        json!({
            "number": number, "html_url": format!("https://github.com/acme/shop/pull/{number}"),
            "state": "open", "draft": true, "title": "x", "unknown": [1], "body": null,
            "head": {"ref": branch, "sha": "a".repeat(40), "repo": {"id": repo, "name": "shop"}},
            "base": {"ref": "main", "sha": "b".repeat(40), "repo": {"id": 1}},
        })
    }

    #[test]
    fn a_pull_request_is_read_and_unknown_fields_are_ignored() {
        let read = pull_request("testing", pull(7, "t", 1)).unwrap();
        assert_eq!(read.number, 7);
        assert_eq!(read.url, "https://github.com/acme/shop/pull/7");
        assert_eq!((read.state, read.readiness), (PullRequestState::Open, Readiness::Draft));
        assert!(pull_request("testing", json!({"number": 1})).is_err());
    }

    #[test]
    fn a_pull_request_of_another_branch_or_fork_or_to_another_branch_is_not_taken_for_ours() {
        let (head, main): (BranchName, BranchName) =
            ("ticket-1".parse().unwrap(), "main".parse().unwrap());
        let find = |list: Vec<Value>| first_between("testing", list, &head, &main).unwrap();
        assert_eq!(find(vec![]), None);
        assert_eq!(find(vec![pull(1, "other", 1)]), None);
        assert_eq!(find(vec![pull(1, "ticket-1", 2)]), None);
        let mut of_fork_that_is_gone = pull(1, "ticket-1", 1);
        of_fork_that_is_gone["head"]["repo"] = Value::Null;
        let mut to_release = pull(3, "ticket-1", 1);
        to_release["base"]["ref"] = json!("release");
        let list = vec![of_fork_that_is_gone, to_release, pull(2, "ticket-1", 1)];
        assert_eq!(find(list).unwrap().number, 2);
    }

    #[test]
    fn only_what_says_so_means_that_there_is_one() {
        let refused = |status, message: &str| {
            says_it_exists(&ForgeError::Refused { attempted: "x", status, message: message.into() })
        };
        assert!(refused(422, "Validation Failed; A pull request already exists for acme:t."));
        assert!(!refused(422, "Validation Failed; PullRequest base invalid"));
        assert!(!refused(409, "already exists"));
    }
}
