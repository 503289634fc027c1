//! The part of Gitea's REST API that a job needs, under `/api/v1`.
//!
//! As there, no list is filtered by branch, drafts are told by the title, and labels by number.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::LINK;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::Found;
use super::pulls::{NewPull, PullChange};
use super::refusal::Refusal;
use super::roster::{self, LABELS, PEOPLE};
use super::{Forge, PullRequest, PullState, conversation, description, git, shape, token_api};

type Repo = (String, String);
type Pull = (String, String, u64);
type Answer<T = Json<Value>> = Result<T, Refusal>;

/// The page size where none is asked for; small, so that clients must turn pages.
const LIMIT: usize = 2;

#[derive(Debug, Deserialize)]
struct ListQuery {
    state: Option<String>,
    page: Option<usize>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct Create {
    title: String,
    body: Option<String>,
    head: String,
    base: String,
}

#[derive(Debug, Deserialize)]
struct Edit {
    title: Option<String>,
    body: Option<String>,
    state: Option<PullState>,
}

#[derive(Debug, Deserialize)]
struct AddLabels {
    labels: Vec<u64>,
}

#[derive(Debug, Deserialize)]
struct AskForReview {
    #[serde(default)]
    reviewers: Vec<String>,
    #[serde(default)]
    team_reviewers: Vec<String>,
}

pub(super) fn router(forge: &Arc<Forge>) -> Router<Arc<Forge>> {
    Router::new()
        .route("/user", get(async || Json(token_api::person())))
        .route("/repos/{owner}/{repo}/pulls", get(list).post(create))
        .route("/repos/{owner}/{repo}/pulls/{index}", get(read).patch(edit))
        .route("/repos/{owner}/{repo}/pulls/{index}/requested_reviewers", post(ask_for_review))
        .route("/repos/{owner}/{repo}/labels", get(labels))
        .route("/repos/{owner}/{repo}/issues/{index}/labels", post(add_labels))
        .merge(conversation::gitea::router())
        .route("/orgs/{org}/labels", get(|| async { Refusal::not_found("Organisation") }))
        .fallback(|| async { Refusal::not_found("Page") })
        .layer(from_fn_with_state(Arc::clone(forge), description::check))
        .layer(from_fn_with_state(Arc::clone(forge), token_api::check))
        .route("/version", get(token_api::version))
}

async fn list(
    State(forge): State<Arc<Forge>>,
    Path((owner, name)): Path<Repo>,
    Query(query): Query<ListQuery>,
) -> Answer<Response> {
    let repo = token_api::find(&forge, &format!("{owner}/{name}"))?;
    let mut pulls = forge.pulls.list(&repo.name);
    pulls.reverse();
    pulls.retain(|pull| match query.state.as_deref() {
        Some("all") => true,
        Some("closed") => pull.state == PullState::Closed,
        _ => pull.state == PullState::Open,
    });
    let (page, limit) = (query.page.unwrap_or(1).max(1), query.limit.unwrap_or(LIMIT).min(LIMIT));
    let more = pulls.len() > page * limit;
    let mut shown = Vec::new();
    for pull in pulls.into_iter().skip((page - 1) * limit).take(limit) {
        shown.push(shaped(&forge, &repo, pull).await?);
    }
    let mut response = Json(shown).into_response();
    let next = format!(
        "<{}api/v1/repos/{}/pulls?limit={limit}&page={}&state=open>; rel=\"next\"",
        forge.external_url,
        repo.name,
        page + 1
    );
    if let Some(next) = next.parse().ok().filter(|_| more) {
        response.headers_mut().insert(LINK, next);
    }
    Ok(response)
}

async fn create(
    State(forge): State<Arc<Forge>>,
    Path((owner, name)): Path<Repo>,
    body: Result<Json<Create>, JsonRejection>,
) -> Answer<(StatusCode, Json<Value>)> {
    let repo = token_api::find(&forge, &format!("{owner}/{name}"))?;
    let Json(new) = body.map_err(|error| unprocessable(&error))?;
    branch(&repo, &new.base).await?;
    let head_sha = branch(&repo, &new.head).await?;
    let draft = is_draft(&new.title);
    let Create { title, body, head, base } = new;
    let pull = NewPull { title, body, draft, head, head_sha, base };
    let pull = forge.pulls.create(&repo.name, pull)?;
    Ok((StatusCode::CREATED, Json(shaped(&forge, &repo, pull).await?)))
}

async fn read(State(forge): State<Arc<Forge>>, Path((owner, name, index)): Path<Pull>) -> Answer {
    let repo = token_api::find(&forge, &format!("{owner}/{name}"))?;
    let pull = forge.pulls.get(&repo.name, index)?;
    Ok(Json(shaped(&forge, &repo, pull).await?))
}

async fn edit(
    State(forge): State<Arc<Forge>>,
    Path((owner, name, index)): Path<Pull>,
    body: Result<Json<Edit>, JsonRejection>,
) -> Answer<(StatusCode, Json<Value>)> {
    let repo = token_api::find(&forge, &format!("{owner}/{name}"))?;
    let Json(Edit { title, body, state }) = body.map_err(|error| unprocessable(&error))?;
    let draft = title.as_deref().map(is_draft);
    let change = PullChange { title, draft, body: body.map(Some), state, ..PullChange::default() };
    let pull = forge.pulls.update(&repo.name, index, change)?;
    Ok((StatusCode::CREATED, Json(shaped(&forge, &repo, pull).await?)))
}

async fn labels(State(forge): State<Arc<Forge>>, Path((owner, name)): Path<Repo>) -> Answer {
    token_api::find(&forge, &format!("{owner}/{name}"))?;
    Ok(Json(label_shapes(&LABELS.map(str::to_owned))))
}

async fn add_labels(
    State(forge): State<Arc<Forge>>,
    Path((owner, name, index)): Path<Pull>,
    body: Result<Json<AddLabels>, JsonRejection>,
) -> Answer {
    let repo = token_api::find(&forge, &format!("{owner}/{name}"))?;
    let Json(AddLabels { labels }) = body.map_err(|error| unprocessable(&error))?;
    let named: Option<Vec<&str>> = labels.iter().map(|id| roster::name(&LABELS, *id)).collect();
    let named = named.ok_or_else(|| Refusal::not_found("Label"))?;
    let pull = forge.pulls.add_labels(&repo.name, index, &named)?;
    Ok(Json(label_shapes(&pull.labels)))
}

async fn ask_for_review(
    State(forge): State<Arc<Forge>>,
    Path((owner, name, index)): Path<Pull>,
    body: Result<Json<AskForReview>, JsonRejection>,
) -> Answer<(StatusCode, Json<Value>)> {
    let repo = token_api::find(&forge, &format!("{owner}/{name}"))?;
    let Json(AskForReview { reviewers, team_reviewers }) =
        body.map_err(|error| unprocessable(&error))?;
    if let Some(absent) = reviewers.iter().find(|name| !PEOPLE.contains(&name.as_str())) {
        let message = format!("user does not exist [uid: 0, name: {absent}]");
        return Err(Refusal::new(StatusCode::NOT_FOUND, message));
    }
    if !team_reviewers.is_empty() {
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "not an organisation's"));
    }
    forge.pulls.add_reviewers(&repo.name, index, &reviewers)?;
    Ok((StatusCode::CREATED, Json(json!([]))))
}

async fn branch(repo: &Found, branch: &str) -> Result<String, Refusal> {
    let sha = git::resolve(&repo.path, &format!("refs/heads/{branch}")).await?;
    sha.ok_or_else(|| Refusal::not_found("Branch"))
}

fn unprocessable(error: &JsonRejection) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.body_text())
}

fn is_draft(title: &str) -> bool {
    let title = title.to_ascii_lowercase();
    title.starts_with("wip:") || title.starts_with("[wip]")
}

fn label_shapes(labels: &[String]) -> Value {
    let shape = |name: &String| json!({"id": roster::id(&LABELS, name), "name": name});
    labels.iter().map(shape).collect()
}

async fn shaped(forge: &Forge, repo: &Found, pull: PullRequest) -> Result<Value, Refusal> {
    let pull = token_api::refreshed::<Refusal>(forge, repo, pull).await?;
    let end =
        |branch: &str, sha: &str| json!({"label": branch, "ref": branch, "sha": sha, "repo_id": 5});
    Ok(json!({
        "id": pull.number,
        "number": pull.number,
        "html_url": format!("{}/pulls/{}", shape::html_url(&forge.external_url, &repo.name), pull.number),
        "state": pull.state,
        "draft": pull.draft,
        "merged": pull.merged,
        "created_at": pull.created_at,
        "title": pull.title,
        "body": pull.body.as_deref().unwrap_or_default(),
        "labels": label_shapes(&pull.labels),
        "head": end(&pull.head, &pull.head_sha),
        "base": end(&pull.base, ""),
    }))
}
