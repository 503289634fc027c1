//! What every request to the REST API of Gitea or GitLab must carry.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::api::Found;
use super::auth::{Credentials, judge_api};
use super::pulls::PullChange;
use super::refusal::Refusal;
use super::{Forge, ForgeKind, GitError, PullRequest, PullState, PullStoreError, RepoName, git};

/// Whose the token is.
pub(super) const LOGIN: &str = "agents";

/// Lets requests with the token pass.
pub(super) async fn check(
    State(forge): State<Arc<Forge>>,
    request: Request,
    next: Next,
) -> Response {
    match judge_api(request.headers(), |token| forge.accepts(token, None)) {
        Credentials::Accepted => next.run(request).await,
        Credentials::Missing | Credentials::Wrong => {
            let message = match forge.kind {
                ForgeKind::GitLab => "401 Unauthorized",
                ForgeKind::GitHub | ForgeKind::Gitea => "invalid username, password or token",
            };
            Refusal::new(StatusCode::UNAUTHORIZED, message).into_response()
        }
    }
}

/// Whose token it is, for `GET /user`.
pub(super) fn person() -> Value {
    json!({"id": 1, "login": LOGIN, "username": LOGIN})
}

/// What GitLab tells a token of itself.
pub(super) fn own_token() -> Value {
    json!({"id": 1, "name": "agents", "active": true, "revoked": false, "scopes": ["api"]})
}

/// The version, by which a forge is known.
pub(super) async fn version(State(forge): State<Arc<Forge>>) -> axum::Json<Value> {
    axum::Json(match forge.kind {
        ForgeKind::GitLab => json!({"version": "18.5.0", "revision": "0000000"}),
        ForgeKind::GitHub | ForgeKind::Gitea => json!({"version": "1.23.0"}),
    })
}

/// Finds a repository by its whole path.
pub(super) fn find(forge: &Forge, path: &str) -> Result<Found, Refusal> {
    let absent = || Refusal::not_found("Project");
    let name: RepoName = path.parse().map_err(|_| absent())?;
    let path = forge.repos.find(&name).ok_or_else(absent)?;
    Ok(Found { name, path })
}

/// The pull request, after a look at where its branch is now.
pub(super) async fn refreshed<E>(
    forge: &Forge,
    repo: &Found,
    pull: PullRequest,
) -> Result<PullRequest, E>
where
    E: From<GitError> + From<PullStoreError>,
{
    if pull.state != PullState::Open {
        return Ok(pull);
    }
    let head = git::resolve(&repo.path, &format!("refs/heads/{}", pull.head)).await?;
    match head.filter(|sha| *sha != pull.head_sha) {
        Some(sha) => {
            let change = PullChange { head_sha: Some(sha), ..PullChange::default() };
            Ok(forge.pulls.update(&repo.name, pull.number, change)?)
        }
        None => Ok(pull),
    }
}
