//! The REST API under `/api/v3`: what every request must carry, and the
//! endpoints about repositories and refs. Pull requests are in `pull_api`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Path, Request, State};
use axum::http::header::{ACCEPT, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;

use super::api_error::ApiError;
use super::auth::{Credentials, judge_api};
use super::{
    Forge, RepoName, app_api, conversation, description, git, pull_api, pull_extras, shape,
    timestamp, token_api,
};

/// GitHub's limit for a token, requests per hour. It is reported, not enforced:
/// a test that wants a refusal injects one.
const RATE_LIMIT: u64 = 5000;
const HOUR: u64 = 3600;

/// The API versions a client may name.
const VERSIONS: [&str; 1] = ["2022-11-28"];

/// The media types a client may accept.
const ACCEPTED: [&str; 4] =
    ["*/*", "application/json", "application/vnd.github+json", "application/vnd.github.v3+json"];

/// Counts requests for the `x-ratelimit-*` headers.
#[derive(Debug, Default)]
pub(super) struct RateLimit {
    used: AtomicU64,
}

/// A repository that exists, with its folder on disk.
pub(super) struct Found {
    pub(super) name: RepoName,
    pub(super) path: std::path::PathBuf,
}

pub(super) fn router(forge: &Arc<Forge>) -> Router<Arc<Forge>> {
    Router::new()
        .route("/user", get(get_user))
        .route("/repos/{owner}/{repo}", get(get_repo))
        .route("/repos/{owner}/{repo}/git/ref/{*reference}", get(get_ref))
        .route("/repos/{owner}/{repo}/pulls", get(pull_api::list).post(pull_api::create))
        .route("/repos/{owner}/{repo}/pulls/{number}", get(pull_api::get).patch(pull_api::update))
        .route("/repos/{owner}/{repo}/labels/{name}", get(pull_extras::label))
        .route("/repos/{owner}/{repo}/issues/{number}/labels", post(pull_extras::add_labels))
        .route(
            "/repos/{owner}/{repo}/pulls/{number}/requested_reviewers",
            post(pull_extras::ask_for_review),
        )
        .merge(app_api::router())
        .merge(conversation::github::router())
        .fallback(|| async { ApiError::NotFound })
        .method_not_allowed_fallback(|| async { ApiError::NotFound })
        .layer(from_fn_with_state(Arc::clone(forge), description::check))
        .layer(from_fn_with_state(Arc::clone(forge), check))
}

/// Finds the repository that a path names; a bad name is as absent as any other.
pub(super) fn find(forge: &Forge, owner: &str, repo: &str) -> Result<Found, ApiError> {
    let name = RepoName::new(owner, repo).map_err(|_| ApiError::NotFound)?;
    let path = forge.repos.find(&name).ok_or(ApiError::NotFound)?;
    Ok(Found { name, path })
}

async fn check(State(forge): State<Arc<Forge>>, request: Request, next: Next) -> Response {
    let mut response = match admit(&forge, request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    forge.rate.report(response.headers_mut());
    response
}

fn admit(forge: &Forge, path: &str, headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.get(USER_AGENT).is_none_or(|value| value.as_bytes().trim_ascii().is_empty()) {
        return Err(ApiError::NoUserAgent);
    }
    if let Some(version) = headers.get("x-github-api-version") {
        let version = version.to_str().unwrap_or("?");
        if !VERSIONS.contains(&version) {
            return Err(ApiError::UnsupportedVersion(version.to_owned()));
        }
    }
    if let Some(accept) = headers.get(ACCEPT) {
        let accept = accept.to_str().unwrap_or("?");
        let media = |part: &str| part.split(';').next().unwrap_or_default().trim().to_owned();
        if !accept.split(',').any(|part| ACCEPTED.contains(&media(part).as_str())) {
            return Err(ApiError::UnsupportedAccept(accept.to_owned()));
        }
    }
    if is_for_app(path) {
        // It shows who it is in another way, which its endpoints judge.
        return Ok(());
    }
    let repo = repo_of(path);
    match judge_api(headers, |token| forge.accepts(token, repo.as_ref())) {
        Credentials::Accepted => Ok(()),
        Credentials::Missing => Err(ApiError::RequiresAuthentication),
        Credentials::Wrong => Err(ApiError::BadCredentials),
    }
}

/// The endpoints that are a GitHub App's own.
fn is_for_app(path: &str) -> bool {
    path == "/app" || path.starts_with("/app/") || path.ends_with("/installation")
}

/// The repository that a path is about.
fn repo_of(path: &str) -> Option<RepoName> {
    let mut parts = path.strip_prefix("/repos/")?.split('/');
    RepoName::new(parts.next()?, parts.next()?).ok()
}

/// Whose token it is; a classic one has its scopes told.
async fn get_user() -> impl IntoResponse {
    ([("x-oauth-scopes", "repo, workflow")], Json(token_api::person()))
}

async fn get_repo(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let repo = find(&forge, &owner, &repo)?;
    let default_branch = git::default_branch(&repo.path).await?;
    Ok(Json(shape::repo(&forge.external_url, &repo.name, &default_branch)))
}

async fn get_ref(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, reference)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let repo = find(&forge, &owner, &repo)?;
    let reference = format!("refs/{reference}");
    let sha = git::resolve(&repo.path, &reference).await?.ok_or(ApiError::NotFound)?;
    Ok(Json(shape::reference(&forge.external_url, &repo.name, &reference, &sha)))
}

impl RateLimit {
    fn report(&self, headers: &mut HeaderMap) {
        let used = self.used.fetch_add(1, Ordering::Relaxed) + 1;
        let reset = (timestamp::unix_seconds() / HOUR + 1) * HOUR;
        let numbers = [
            ("x-ratelimit-limit", RATE_LIMIT),
            ("x-ratelimit-remaining", RATE_LIMIT.saturating_sub(used)),
            ("x-ratelimit-used", used),
            ("x-ratelimit-reset", reset),
        ];
        for (name, value) in numbers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
        let resource = HeaderName::from_static("x-ratelimit-resource");
        headers.insert(resource, HeaderValue::from_static("core"));
    }
}
