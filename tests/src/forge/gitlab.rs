//! The part of GitLab's REST API that a job needs, under `/api/v4`.
//!
//! As there, a project is one part of the path with its slashes encoded, drafts are told by the title,
//! and the commit of a new merge request is not known at once.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::Found;
use super::pulls::{NewPull, PullChange};
use super::refusal::Refusal;
use super::roster::{self, LABELS, PEOPLE};
use super::{
    Forge, PullRequest, PullState, PullStoreError, conversation, description, git, shape, token_api,
};

type Answer<T = Json<Value>> = Result<T, Refusal>;

const PER_PAGE: usize = 20;

#[derive(Debug, Deserialize)]
struct ListQuery {
    state: Option<String>,
    source_branch: Option<String>,
    page: Option<usize>,
    per_page: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct UserQuery {
    username: String,
}

#[derive(Debug, Deserialize)]
struct Create {
    title: String,
    description: Option<String>,
    source_branch: String,
    target_branch: String,
}

#[derive(Debug, Deserialize)]
struct Update {
    title: Option<String>,
    description: Option<String>,
    state_event: Option<StateEvent>,
    #[serde(default)]
    add_labels: Vec<String>,
    reviewer_ids: Option<Vec<u64>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateEvent {
    Close,
    Reopen,
}

pub(super) fn router(forge: &Arc<Forge>) -> Router<Arc<Forge>> {
    Router::new()
        .route("/user", get(async || Json(token_api::person())))
        .route("/personal_access_tokens/self", get(async || Json(token_api::own_token())))
        .route("/version", get(token_api::version))
        .route("/users", get(users))
        .route("/projects/{id}/labels/{name}", get(label))
        .route("/projects/{id}/merge_requests", get(list).post(create))
        .route("/projects/{id}/merge_requests/{iid}", get(read).put(update))
        .merge(conversation::gitlab::router())
        .fallback(|| async { Refusal::not_found("Page") })
        .layer(from_fn_with_state(Arc::clone(forge), description::check))
        .layer(from_fn_with_state(Arc::clone(forge), token_api::check))
}

async fn users(Query(query): Query<UserQuery>) -> Json<Value> {
    let found = PEOPLE.iter().filter(|name| name.eq_ignore_ascii_case(&query.username));
    Json(found.map(|name| person(name)).collect())
}

async fn label(
    State(forge): State<Arc<Forge>>,
    Path((project, name)): Path<(String, String)>,
) -> Answer {
    token_api::find(&forge, &project)?;
    let id = roster::id(&LABELS, &name).ok_or_else(|| Refusal::not_found("Label"))?;
    Ok(Json(json!({"id": id, "name": name})))
}

async fn list(
    State(forge): State<Arc<Forge>>,
    Path(project): Path<String>,
    Query(query): Query<ListQuery>,
) -> Answer<Response> {
    let repo = token_api::find(&forge, &project)?;
    let mut pulls = forge.pulls.list(&repo.name);
    pulls.reverse();
    pulls.retain(|pull| {
        let of_state = match query.state.as_deref() {
            Some("opened") => pull.state == PullState::Open,
            Some("closed") => pull.state == PullState::Closed,
            _ => true,
        };
        of_state && query.source_branch.as_ref().is_none_or(|branch| *branch == pull.head)
    });
    let (page, size) =
        (query.page.unwrap_or(1).max(1), query.per_page.unwrap_or(PER_PAGE).min(100));
    let next = if pulls.len() > page * size { (page + 1).to_string() } else { String::new() };
    let mut shown = Vec::new();
    for pull in pulls.into_iter().skip((page - 1) * size).take(size) {
        shown.push(shaped(&forge, &repo, pull).await?);
    }
    let mut response = Json(shown).into_response();
    if let Ok(next) = HeaderValue::try_from(next) {
        response.headers_mut().insert("x-next-page", next);
    }
    Ok(response)
}

async fn create(
    State(forge): State<Arc<Forge>>,
    Path(project): Path<String>,
    body: Result<Json<Create>, JsonRejection>,
) -> Answer<(StatusCode, Json<Value>)> {
    let repo = token_api::find(&forge, &project)?;
    let Json(new) = body.map_err(|error| bad(&error))?;
    refuse_quick_actions(new.description.as_deref())?;
    branch(&repo, &new.target_branch).await?;
    let head_sha = branch(&repo, &new.source_branch).await?;
    let draft = is_draft(&new.title);
    let Create { title, description, source_branch: head, target_branch: base } = new;
    let pull = NewPull { title, body: description, draft, head, head_sha, base };
    let open = |pull: &PullRequest| pull.state == PullState::Open;
    let created = forge.pulls.create(&repo.name, pull).map_err(|error| match error {
        PullStoreError::AlreadyOpen { .. } => {
            let all = forge.pulls.list(&repo.name);
            let number = all.iter().rev().find(|pull| open(pull)).map_or(0, |pull| pull.number);
            let text = "Another open merge request already exists for this source branch";
            Refusal::new(StatusCode::CONFLICT, json!([format!("{text}: !{number}")]))
        }
        other => other.into(),
    })?;
    let mut shape = shaped(&forge, &repo, created).await?;
    shape["sha"] = Value::Null;
    Ok((StatusCode::CREATED, Json(shape)))
}

async fn read(
    State(forge): State<Arc<Forge>>,
    Path((project, iid)): Path<(String, u64)>,
) -> Answer {
    let repo = token_api::find(&forge, &project)?;
    let pull = forge.pulls.get(&repo.name, iid)?;
    Ok(Json(shaped(&forge, &repo, pull).await?))
}

async fn update(
    State(forge): State<Arc<Forge>>,
    Path((project, iid)): Path<(String, u64)>,
    body: Result<Json<Update>, JsonRejection>,
) -> Answer {
    let repo = token_api::find(&forge, &project)?;
    let Json(Update { title, description, state_event, add_labels, reviewer_ids }) =
        body.map_err(|error| bad(&error))?;
    refuse_quick_actions(description.as_deref())?;
    let known = reviewer_ids.map(|ids| {
        let names = ids.into_iter().filter_map(|id| roster::name(&PEOPLE, id));
        names.map(str::to_owned).collect()
    });
    let change = PullChange {
        draft: title.as_deref().map(is_draft),
        title,
        body: description.map(Some),
        state: state_event.map(|event| match event {
            StateEvent::Close => PullState::Closed,
            StateEvent::Reopen => PullState::Open,
        }),
        reviewers: known,
        ..PullChange::default()
    };
    forge.pulls.update(&repo.name, iid, change)?;
    let labels: Vec<&str> = add_labels.iter().map(String::as_str).collect();
    let pull = forge.pulls.add_labels(&repo.name, iid, &labels)?;
    Ok(Json(shaped(&forge, &repo, pull).await?))
}

async fn branch(repo: &Found, branch: &str) -> Result<String, Refusal> {
    let sha = git::resolve(&repo.path, &format!("refs/heads/{branch}")).await?;
    sha.ok_or_else(|| {
        let message = json!({"source_branch": [format!("{branch:?} does not exist")]});
        Refusal::new(StatusCode::BAD_REQUEST, message)
    })
}

/// GitLab would carry these out; here they are a client's mistake.
pub(super) fn refuse_quick_actions(text: Option<&str>) -> Result<(), Refusal> {
    let words = ["/merge", "/approve", "/close", "/assign"];
    let is_action = |line: &str| words.iter().any(|word| line.trim_start().starts_with(word));
    match text.unwrap_or_default().lines().find(|line| is_action(line)) {
        None => Ok(()),
        Some(line) => {
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("carried out: {line}")))
        }
    }
}

fn bad(error: &JsonRejection) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, error.body_text())
}

fn is_draft(title: &str) -> bool {
    let title = title.to_ascii_lowercase();
    ["draft:", "[draft]", "(draft)"].iter().any(|mark| title.starts_with(mark))
}

fn person(name: &str) -> Value {
    json!({"id": roster::id(&PEOPLE, name), "username": name})
}

async fn shaped(forge: &Forge, repo: &Found, pull: PullRequest) -> Result<Value, Refusal> {
    let pull = token_api::refreshed::<Refusal>(forge, repo, pull).await?;
    let state = match pull.state {
        PullState::Open => "opened",
        PullState::Closed if pull.merged => "merged",
        PullState::Closed => "closed",
    };
    let page = shape::html_url(&forge.external_url, &repo.name);
    Ok(json!({
        "id": 1000 + pull.number,
        "iid": pull.number,
        "web_url": format!("{page}/-/merge_requests/{}", pull.number),
        "state": state,
        "created_at": pull.created_at,
        "detailed_merge_status": conversation::gitlab::merge_status(&forge.talk, &repo.name, &pull),
        "head_pipeline": conversation::gitlab::pipeline(&forge.talk, &repo.name, &pull),
        "draft": pull.draft,
        "title": pull.title,
        "description": pull.body,
        "labels": pull.labels,
        "reviewers": pull.reviewers.iter().map(|name| person(name)).collect::<Vec<_>>(),
        "sha": pull.head_sha,
        "source_branch": pull.head,
        "target_branch": pull.base,
        "source_project_id": 5,
        "target_project_id": 5,
    }))
}
