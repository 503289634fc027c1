//! The pull-request endpoints of the REST API.
//!
//! Invariant: a new pull request names two branches that exist, with commits
//! between them, exactly as the real forge demands.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::{LINK, LOCATION};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::api::{Found, find};
use super::api_error::ApiError;
use super::pull_body::{CreatePull, UpdatePull, read};
use super::pulls::NewPull;
use super::{Forge, PullRequest, PullState, PullStoreError, git, shape, token_api};

const PER_PAGE: usize = 30;
const PER_PAGE_MAX: usize = 100;

/// What a listing may be narrowed by.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    state: Option<StateFilter>,
    head: Option<String>,
    base: Option<String>,
    per_page: Option<usize>,
    page: Option<usize>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateFilter {
    Open,
    Closed,
    All,
}

type PullPath = (String, String, u64);

/// `GET /repos/{owner}/{repo}/pulls`, newest first.
///
/// The real forge ignores a `head` without an owner and lists everything,
/// which hides a client's mistake; here it is refused.
pub(super) async fn list(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo)): Path<(String, String)>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::InvalidRequest(error.body_text()))?;
    let repo = find(&forge, &owner, &repo)?;
    if let Some(head) = query.head.as_ref().filter(|head| !head.contains(':')) {
        return Err(ApiError::InvalidRequest(format!("head {head:?} is not owner:branch")));
    }
    let label = |pull: &PullRequest| format!("{}:{}", repo.name.owner(), pull.head);

    let mut pulls = forge.pulls.list(&repo.name);
    pulls.reverse();
    pulls.retain(|pull| {
        query.state.unwrap_or(StateFilter::Open).admits(pull.state)
            && query.head.as_ref().is_none_or(|head| label(pull) == *head)
            && query.base.as_ref().is_none_or(|base| &pull.base == base)
    });
    let per_page = query.per_page.unwrap_or(PER_PAGE).clamp(1, PER_PAGE_MAX);
    let page = query.page.unwrap_or(1).max(1);
    let total = pulls.len();

    let mut shown = Vec::new();
    for pull in pulls.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page) {
        shown.push(shaped(&forge, &repo, pull).await?);
    }
    let mut response = Json(shown).into_response();
    if page.saturating_mul(per_page) < total {
        let base = shape::api_url(&forge.external_url, &repo.name);
        let next = format!("<{base}/pulls?per_page={per_page}&page={}>; rel=\"next\"", page + 1);
        if let Ok(next) = next.parse() {
            response.headers_mut().insert(LINK, next);
        }
    }
    Ok(response)
}

/// `POST /repos/{owner}/{repo}/pulls`.
pub(super) async fn create(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let repo = find(&forge, &owner, &repo)?;
    let wanted: CreatePull = read(request).await?;
    wanted.check()?;
    let new = to_new_pull(&repo, wanted).await?;
    let label = format!("{}:{}", repo.name.owner(), new.head);
    let pull = forge.pulls.create(&repo.name, new).map_err(|error| conflict(error, &label))?;
    let location = shape::pull_api_url(&forge.external_url, &repo.name, pull.number);
    let body = Json(shaped(&forge, &repo, pull).await?);
    Ok((StatusCode::CREATED, [(LOCATION, location)], body).into_response())
}

/// `GET /repos/{owner}/{repo}/pulls/{number}`.
pub(super) async fn get(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, number)): Path<PullPath>,
) -> Result<Json<Value>, ApiError> {
    let repo = find(&forge, &owner, &repo)?;
    let pull = forge.pulls.get(&repo.name, number)?;
    Ok(Json(shaped(&forge, &repo, pull).await?))
}

/// `PATCH /repos/{owner}/{repo}/pulls/{number}`.
pub(super) async fn update(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, number)): Path<PullPath>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let repo = find(&forge, &owner, &repo)?;
    let pull = forge.pulls.get(&repo.name, number)?;
    let wanted: UpdatePull = read(request).await?;
    wanted.check()?;
    if let Some(base) = &wanted.base {
        branch_commit(&repo, base, "base").await?;
    }
    let label = format!("{}:{}", repo.name.owner(), pull.head);
    let pull = forge
        .pulls
        .update(&repo.name, number, wanted.into_change())
        .map_err(|error| conflict(error, &label))?;
    Ok(Json(shaped(&forge, &repo, pull).await?))
}

impl StateFilter {
    fn admits(self, state: PullState) -> bool {
        match self {
            Self::All => true,
            Self::Open => state == PullState::Open,
            Self::Closed => state == PullState::Closed,
        }
    }
}

async fn to_new_pull(repo: &Found, wanted: CreatePull) -> Result<NewPull, ApiError> {
    let head = match wanted.head.split_once(':') {
        Some((owner, _)) if owner != repo.name.owner() => return Err(ApiError::invalid("head")),
        Some((_, branch)) => branch.to_owned(),
        None => wanted.head,
    };
    let base = wanted.base;
    let base_sha = branch_commit(repo, &base, "base").await?;
    let head_sha = branch_commit(repo, &head, "head").await?;
    if !git::related(&repo.path, &base_sha, &head_sha).await? {
        let text = format!("The {head} branch has no history in common with {base}");
        return Err(ApiError::custom(text));
    }
    if git::commits_ahead(&repo.path, &base_sha, &head_sha).await? == 0 {
        return Err(ApiError::custom(format!("No commits between {base} and {head}")));
    }
    let draft = wanted.draft.unwrap_or(false);
    Ok(NewPull { title: wanted.title, body: wanted.body, draft, head, head_sha, base })
}

async fn branch_commit(repo: &Found, branch: &str, field: &str) -> Result<String, ApiError> {
    let sha = git::resolve(&repo.path, &format!("refs/heads/{branch}")).await?;
    sha.ok_or_else(|| ApiError::invalid(field))
}

fn conflict(error: PullStoreError, label: &str) -> ApiError {
    match error {
        PullStoreError::AlreadyOpen { .. } => {
            ApiError::custom(format!("A pull request already exists for {label}."))
        }
        other => other.into(),
    }
}

/// The answer's shape, after a look at where the head branch is now.
async fn shaped(forge: &Forge, repo: &Found, pull: PullRequest) -> Result<Value, ApiError> {
    let pull = token_api::refreshed::<ApiError>(forge, repo, pull).await?;
    let base_sha = git::resolve(&repo.path, &format!("refs/heads/{}", pull.base)).await?;
    let default_branch = git::default_branch(&repo.path).await?;
    let repo_shape = shape::repo(&forge.external_url, &repo.name, &default_branch);
    Ok(shape::pull(&forge.external_url, &repo.name, &repo_shape, &pull, base_sha.as_deref()))
}
