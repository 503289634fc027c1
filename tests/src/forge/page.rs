//! The pull request as a person sees it: a plain page, and its patch.
//!
//! Both need no token, so that a printed link can be opened in a browser.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::api::{Found, find};
use super::{Forge, GitError, PullRequest, PullState, git};

/// `GET /{owner}/{repo}/pull/{n}` and `GET /{owner}/{repo}/pull/{n}.diff`.
pub(super) async fn pull_request(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, number)): Path<(String, String, String)>,
) -> Response {
    let (digits, as_patch) = match number.strip_suffix(".diff") {
        Some(digits) => (digits, true),
        None => (number.as_str(), false),
    };
    let found = find(&forge, &owner, &repo).ok().and_then(|repo| {
        let pull = forge.pulls.get(&repo.name, digits.parse().ok()?).ok()?;
        Some((repo, pull))
    });
    let Some((repo, pull)) = found else {
        return (StatusCode::NOT_FOUND, "Not Found\n").into_response();
    };
    match patch(&repo, &pull).await {
        Ok(patch) if as_patch => patch.into_response(),
        Ok(patch) => Html(page(&repo, &pull, &patch)).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("no diff: {error}\n")).into_response()
        }
    }
}

async fn patch(repo: &Found, pull: &PullRequest) -> Result<String, GitError> {
    let head = format!("refs/heads/{}", pull.head);
    let head = git::resolve(&repo.path, &head).await?.unwrap_or_else(|| pull.head_sha.clone());
    git::diff(&repo.path, &format!("refs/heads/{}", pull.base), &head).await
}

fn page(repo: &Found, pull: &PullRequest, patch: &str) -> String {
    let state = match pull.state {
        PullState::Open if pull.draft => "draft",
        PullState::Open => "open",
        PullState::Closed => "closed",
    };
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title} · {name}#{number}</title>\n\
         <h1>{title}</h1>\n<p>{name}#{number}, {state}: <code>{head}</code> into \
         <code>{base}</code></p>\n<pre>{body}</pre>\n\
         <h2>Changes (<a href=\"{number}.diff\">patch</a>)</h2>\n<pre>{patch}</pre>\n",
        title = escaped(&pull.title),
        name = repo.name,
        number = pull.number,
        head = escaped(&pull.head),
        base = escaped(&pull.base),
        body = escaped(pull.body.as_deref().unwrap_or_default()),
        patch = escaped(patch),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
