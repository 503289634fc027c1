//! The JSON of repositories, refs and pull requests, with GitHub's names.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};
use url::Url;

use super::{PullRequest, RepoName, graphql};

/// `{external}/{owner}/{repo}`.
pub(super) fn html_url(external: &Url, repo: &RepoName) -> String {
    format!("{}/{repo}", external.as_str().trim_end_matches('/'))
}

/// `{external}/api/v3/repos/{owner}/{repo}`.
pub(super) fn api_url(external: &Url, repo: &RepoName) -> String {
    format!("{}/api/v3/repos/{repo}", external.as_str().trim_end_matches('/'))
}

/// `…/pulls/{number}` in the API.
pub(super) fn pull_api_url(external: &Url, repo: &RepoName, number: u64) -> String {
    format!("{}/pulls/{number}", api_url(external, repo))
}

/// A repository.
pub(super) fn repo(external: &Url, repo: &RepoName, default_branch: &str) -> Value {
    let html_url = html_url(external, repo);
    json!({
        "id": id_of(repo),
        "name": repo.name(),
        "full_name": repo.to_string(),
        "owner": account(repo.owner()),
        "private": true,
        "archived": false,
        "fork": false,
        "html_url": html_url,
        "clone_url": format!("{html_url}.git"),
        "url": api_url(external, repo),
        "default_branch": default_branch,
        "permissions": {"admin": false, "push": true, "pull": true},
    })
}

/// A ref such as `refs/heads/main`.
pub(super) fn reference(external: &Url, repo: &RepoName, name: &str, sha: &str) -> Value {
    let api = api_url(external, repo);
    let short = name.trim_start_matches("refs/");
    json!({
        "ref": name,
        "node_id": format!("REF_{}", &sha[..sha.len().min(12)]),
        "url": format!("{api}/git/refs/{short}"),
        "object": {"type": "commit", "sha": sha, "url": format!("{api}/git/commits/{sha}")},
    })
}

/// A pull request; `repo_shape` is what [`repo`] made.
pub(super) fn pull(
    external: &Url,
    repo: &RepoName,
    repo_shape: &Value,
    pull: &PullRequest,
    base_sha: Option<&str>,
) -> Value {
    let html_url = format!("{}/pull/{}", html_url(external, repo), pull.number);
    let owner = repo.owner();
    json!({
        "id": id_of(repo) + pull.number,
        "url": pull_api_url(external, repo, pull.number),
        "html_url": html_url,
        "diff_url": format!("{html_url}.diff"),
        "node_id": graphql::node_id(repo, pull.number),
        "number": pull.number,
        "state": pull.state,
        "locked": false,
        "draft": pull.draft,
        "merged": pull.merged,
        "merged_at": pull.closed_at.as_ref().filter(|_| pull.merged),
        "title": pull.title,
        "body": pull.body,
        "labels": pull.labels.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        "requested_reviewers": pull.reviewers.iter().map(|name| account(name)).collect::<Vec<_>>(),
        "user": account(owner),
        "head": {
            "label": format!("{owner}:{}", pull.head),
            "ref": pull.head,
            "sha": pull.head_sha,
            "user": account(owner),
            "repo": repo_shape,
        },
        "base": {
            "label": format!("{owner}:{}", pull.base),
            "ref": pull.base,
            "sha": base_sha,
            "user": account(owner),
            "repo": repo_shape,
        },
        "created_at": pull.created_at,
        "updated_at": pull.updated_at,
        "closed_at": pull.closed_at,
    })
}

fn account(login: &str) -> Value {
    json!({"login": login, "type": "User", "site_admin": false})
}

/// Stable for a name, with room below for pull requests.
fn id_of(repo: &RepoName) -> u64 {
    let mut hasher = DefaultHasher::new();
    repo.hash(&mut hasher);
    (hasher.finish() >> 33) * 10_000
}
