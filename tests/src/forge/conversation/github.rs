//! Comments, reviews and checks as GitHub has them. A list that did not change is answered with 304 to
//! who shows its tag.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::header::{ETAG, IF_NONE_MATCH, LINK};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Check, CheckResult, LineSide, RemarkPlace, Said, Standing, Talk, Verdict};
use crate::forge::api::find;
use crate::forge::api_error::ApiError;
use crate::forge::pull_body::read;
use crate::forge::{Forge, RepoName};

const PER_PAGE: usize = 30;

type OfPull = (String, String, u64);
type OfCommit = (String, String, String);

#[derive(Debug, Deserialize)]
struct Pages {
    per_page: Option<usize>,
    page: Option<usize>,
}

/// What a comment says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    body: String,
}

pub(in crate::forge) fn router() -> Router<Arc<Forge>> {
    Router::new()
        .route("/repos/{owner}/{repo}/issues/{number}/comments", get(conversation).post(comment))
        .route("/repos/{owner}/{repo}/pulls/{number}/comments", get(lines))
        .route("/repos/{owner}/{repo}/pulls/{number}/comments/{id}/replies", post(reply))
        .route("/repos/{owner}/{repo}/pulls/{number}/reviews", get(reviews))
        .route("/repos/{owner}/{repo}/commits/{sha}/check-runs", get(check_runs))
        .route("/repos/{owner}/{repo}/commits/{sha}/status", get(status))
}

/// The first comments of all threads at lines, and whether they are resolved.
pub(in crate::forge) fn threads(talk: &Talk, repo: &RepoName, pull: u64) -> Vec<(u64, bool)> {
    let said = talk.said(repo, pull).into_iter();
    let first = said.filter(|said| said.thread.is_none() && is_at_line(said));
    first.map(|said| (said.number, said.is_resolved)).collect()
}

async fn conversation(
    State(forge): State<Arc<Forge>>,
    Path(pull): Path<OfPull>,
    Query(pages): Query<Pages>,
    request: Request,
) -> Result<Response, ApiError> {
    let shown = said(&forge, pull, |said, _| {
        (said.remark.place == RemarkPlace::Conversation).then(|| shape(said))
    })?;
    Ok(paged(&shown, &pages, &request))
}

async fn lines(
    State(forge): State<Arc<Forge>>,
    Path(pull): Path<OfPull>,
    Query(pages): Query<Pages>,
    request: Request,
) -> Result<Response, ApiError> {
    let shown = said(&forge, pull, line)?;
    Ok(paged(&shown, &pages, &request))
}

async fn comment(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, number)): Path<OfPull>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    answer(&forge, (owner, repo, number), None, request).await
}

async fn reply(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, number, id)): Path<(String, String, u64, u64)>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let name = find(&forge, &owner, &repo)?.name;
    let said = forge.talk.said(&name, number);
    let first = said.iter().find(|said| is_at_line(said) && said.number == id);
    let thread = first.ok_or(ApiError::NotFound)?.note;
    answer(&forge, (owner, repo, number), Some(thread), request).await
}

async fn answer(
    forge: &Forge,
    (owner, repo, number): OfPull,
    thread: Option<u64>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let repo = find(forge, &owner, &repo)?.name;
    let pull = forge.pulls.get(&repo, number)?;
    let Words { body } = read(request).await?;
    let said = forge.talk.reply(&repo, &pull, thread, body).ok_or(ApiError::NotFound)?;
    Ok((StatusCode::CREATED, Json(shape(&said))))
}

async fn reviews(
    State(forge): State<Arc<Forge>>,
    Path(pull): Path<OfPull>,
    Query(pages): Query<Pages>,
    request: Request,
) -> Result<Response, ApiError> {
    let shown = said(&forge, pull, |said, _| {
        let RemarkPlace::Review(verdict) = said.remark.place else { return None };
        let mut review = shape(said);
        review["commit_id"] = json!(said.head);
        review["submitted_at"] = review["created_at"].take();
        review["state"] = json!(match verdict {
            Verdict::Comments => "COMMENTED",
            Verdict::Approves => "APPROVED",
            Verdict::AsksForChanges => "CHANGES_REQUESTED",
        });
        Some(review)
    })?;
    Ok(paged(&shown, &pages, &request))
}

async fn check_runs(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, sha)): Path<OfCommit>,
    request: Request,
) -> Result<Response, ApiError> {
    let repo = find(&forge, &owner, &repo)?;
    let runs = forge.talk.checks(&repo.name, &sha);
    let runs: Vec<Value> = runs.iter().map(run).collect();
    Ok(tagged(&json!({"total_count": runs.len(), "check_runs": runs}), &request))
}

/// What services report: none here.
async fn status(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, sha)): Path<OfCommit>,
    request: Request,
) -> Result<Response, ApiError> {
    find(&forge, &owner, &repo)?;
    let status = json!({"state": "pending", "sha": sha, "total_count": 0, "statuses": []});
    Ok(tagged(&status, &request))
}

fn said(
    forge: &Forge,
    (owner, repo, number): OfPull,
    shape: impl Fn(&Said, &[Said]) -> Option<Value>,
) -> Result<Vec<Value>, ApiError> {
    let repo = find(forge, &owner, &repo)?;
    forge.pulls.get(&repo.name, number)?;
    let all = forge.talk.said(&repo.name, number);
    Ok(all.iter().filter_map(|said| shape(said, &all)).collect())
}

fn is_at_line(said: &Said) -> bool {
    matches!(said.remark.place, RemarkPlace::Line { .. })
}

/// A comment at a line; one that answers another names it.
fn line(said: &Said, all: &[Said]) -> Option<Value> {
    let RemarkPlace::Line { path, line, side } = &said.remark.place else { return None };
    let mut comment = shape(said);
    comment["path"] = json!(path);
    comment["line"] = json!(line);
    comment["side"] = json!(match side {
        LineSide::Old => "LEFT",
        LineSide::New => "RIGHT",
    });
    if let Some(first) = all.iter().find(|first| said.thread == Some(first.note)) {
        comment["in_reply_to_id"] = json!(first.number);
    }
    Some(comment)
}

fn shape(said: &Said) -> Value {
    let (kind, association) = match said.remark.standing {
        Standing::Member => ("User", "COLLABORATOR"),
        Standing::Outsider => ("User", "NONE"),
        Standing::Bot => ("Bot", "NONE"),
    };
    json!({
        "id": said.number,
        "user": {"login": said.remark.author, "type": kind, "site_admin": false},
        "author_association": association,
        "body": said.remark.body,
        "created_at": said.at,
        "updated_at": said.at,
    })
}

fn run(check: &Check) -> Value {
    let conclusion = match check.result {
        CheckResult::Passed => "success",
        CheckResult::Failed => "failure",
    };
    json!({
        "name": check.name,
        "status": "completed",
        "conclusion": conclusion,
        "html_url": "https://ci.example/1",
        "completed_at": check.at,
    })
}

/// One page of a list, with a link to the next.
fn paged(all: &[Value], pages: &Pages, request: &Request) -> Response {
    let size = pages.per_page.unwrap_or(PER_PAGE).clamp(1, 100);
    let page = pages.page.unwrap_or(1).max(1);
    let shown: Vec<&Value> = all.iter().skip((page - 1) * size).take(size).collect();
    let mut response = tagged(&json!(shown), request);
    if page * size < all.len() {
        let path = request.uri().path();
        let next = format!("<{path}?per_page={size}&page={}>; rel=\"next\"", page + 1);
        if let Ok(next) = HeaderValue::try_from(next) {
            response.headers_mut().insert(LINK, next);
        }
    }
    response
}

fn tagged(body: &Value, request: &Request) -> Response {
    let mut hasher = DefaultHasher::new();
    body.to_string().hash(&mut hasher);
    let tag = format!("W/\"{:016x}\"", hasher.finish());
    let same = request.headers().get(IF_NONE_MATCH).is_some_and(|shown| shown == tag.as_str());
    let mut headers = HeaderMap::new();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    match same {
        true => (StatusCode::NOT_MODIFIED, headers).into_response(),
        false => (headers, Json(body.clone())).into_response(),
    }
}
