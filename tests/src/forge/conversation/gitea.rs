//! Comments, reviews and statuses as Gitea has them: what is said of a line is part of a review, which
//! here has nothing else.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CheckResult, LineSide, RemarkPlace, Said, Standing, Verdict, gitea_actions};
use crate::forge::Forge;
use crate::forge::refusal::Refusal;
use crate::forge::token_api::find;

/// The page size where none is asked for; small, so that clients must turn pages.
const LIMIT: usize = 2;

type OfPull = (String, String, u64);

#[derive(Debug, Deserialize)]
struct Pages {
    page: Option<usize>,
    limit: Option<usize>,
}

/// What a comment says.
#[derive(Debug, Deserialize)]
struct Words {
    body: String,
}

/// A review of what is said of lines.
#[derive(Debug, Deserialize)]
struct Submitted {
    comments: Vec<OfLine>,
}

/// A line by its number in one of the two files; 0 is none.
#[derive(Debug, Deserialize)]
struct OfLine {
    path: String,
    body: String,
    #[serde(default)]
    old_position: u64,
    #[serde(default)]
    new_position: u64,
}

pub(in crate::forge) fn router() -> Router<Arc<Forge>> {
    Router::new()
        .route("/repos/{owner}/{repo}/issues/{index}/comments", get(conversation).post(comment))
        .route("/repos/{owner}/{repo}/pulls/{index}/reviews", get(reviews).post(submit))
        .route("/repos/{owner}/{repo}/pulls/{index}/reviews/{id}/comments", get(lines))
        .route("/repos/{owner}/{repo}/commits/{sha}/status", get(status))
        .route("/repos/{owner}/{repo}/assignees", get(assignees))
        .merge(gitea_actions::router())
}

/// As on the real forge, all at once.
async fn conversation(
    State(forge): State<Arc<Forge>>,
    Path(pull): Path<OfPull>,
) -> Result<Json<Value>, Refusal> {
    let said = said(&forge, pull)?;
    let said = said.iter().filter(|said| said.remark.place == RemarkPlace::Conversation);
    Ok(Json(said.map(shape).collect()))
}

async fn comment(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, index)): Path<OfPull>,
    Json(Words { body }): Json<Words>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let repo = find(&forge, &format!("{owner}/{repo}"))?.name;
    let pull = forge.pulls.get(&repo, index)?;
    let said = forge.talk.reply(&repo, &pull, None, body);
    let said = said.ok_or_else(|| Refusal::not_found("Comment"))?;
    Ok((StatusCode::CREATED, Json(shape(&said))))
}

/// What is said of a line belongs to what was said of it first, which there is here.
async fn submit(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, index)): Path<OfPull>,
    Json(Submitted { comments }): Json<Submitted>,
) -> Result<Json<Value>, Refusal> {
    let repo = find(&forge, &format!("{owner}/{repo}"))?.name;
    let pull = forge.pulls.get(&repo, index)?;
    for OfLine { path, body, old_position, new_position } in comments {
        let (line, side) = match old_position {
            0 => (new_position, LineSide::New),
            line => (line, LineSide::Old),
        };
        let place = RemarkPlace::Line { path, line, side };
        let said = forge.talk.said(&repo, index);
        let first = said.iter().find(|said| said.remark.place == place);
        let thread = first.ok_or_else(|| Refusal::not_found("Line"))?.note;
        let said = forge.talk.reply(&repo, &pull, Some(thread), body);
        said.ok_or_else(|| Refusal::not_found("Comment"))?;
    }
    Ok(Json(json!({"state": "COMMENT"})))
}

async fn reviews(
    State(forge): State<Arc<Forge>>,
    Path(pull): Path<OfPull>,
    Query(pages): Query<Pages>,
) -> Result<Response, Refusal> {
    let said = said(&forge, pull.clone())?;
    let (owner, repo, index) = pull;
    let head = forge.pulls.get(&find(&forge, &format!("{owner}/{repo}"))?.name, index)?.head_sha;
    let all: Vec<Value> = said.iter().filter_map(|said| review(said, &head)).collect();
    let (page, limit) = (pages.page.unwrap_or(1).max(1), pages.limit.unwrap_or(LIMIT).min(LIMIT));
    let shown: Vec<&Value> = all.iter().skip((page - 1) * limit).take(limit).collect();
    // As on the real forge: the number of all, and no link to the next page.
    Ok(([("x-total-count", all.len().to_string())], Json(shown)).into_response())
}

async fn lines(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, index, id)): Path<(String, String, u64, u64)>,
) -> Result<Json<Value>, Refusal> {
    let said = said(&forge, (owner, repo, index))?;
    let comment = said.iter().filter(|said| said.note == id).filter_map(|said| {
        let RemarkPlace::Line { path, line, side } = &said.remark.place else { return None };
        let (new, old) = match side {
            LineSide::New => (*line, 0),
            LineSide::Old => (0, *line),
        };
        let mut comment = shape(said);
        comment["path"] = json!(path);
        comment["position"] = json!(new);
        comment["original_position"] = json!(old);
        comment["resolver"] = match said.is_resolved {
            true => json!({"id": 2, "login": said.remark.author}),
            false => Value::Null,
        };
        Some(comment)
    });
    Ok(Json(comment.collect()))
}

async fn status(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, sha)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let repo = find(&forge, &format!("{owner}/{repo}"))?;
    let checks = forge.talk.checks(&repo.name, &sha);
    let statuses = checks.iter().map(|check| {
        let status = match check.result {
            CheckResult::Passed => "success",
            CheckResult::Failed => "failure",
        };
        let page = check.job.as_ref().map(|job| gitea_actions::page(&repo.name, job));
        let page = page.unwrap_or_default();
        json!({"context": check.name, "status": status, "target_url": page, "updated_at": check.at})
    });
    let statuses: Vec<Value> = statuses.collect();
    let statuses = if statuses.is_empty() { Value::Null } else { json!(statuses) };
    Ok(Json(json!({"state": "", "sha": sha, "statuses": statuses})))
}

/// Those who may write.
async fn assignees(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let repo = find(&forge, &format!("{owner}/{repo}"))?;
    let members = forge.talk.members(&repo.name);
    Ok(Json(members.iter().map(|login| json!({"id": 2, "login": login})).collect()))
}

fn said(forge: &Forge, (owner, repo, index): OfPull) -> Result<Vec<Said>, Refusal> {
    let repo = find(forge, &format!("{owner}/{repo}"))?;
    forge.pulls.get(&repo.name, index)?;
    Ok(forge.talk.said(&repo.name, index))
}

/// As a list has it: no word about what the author is to the repository.
fn shape(said: &Said) -> Value {
    json!({
        "id": said.number,
        "user": {"login": said.remark.author, "username": said.remark.author},
        "body": said.remark.body,
        "created_at": said.at,
        "updated_at": said.at,
    })
}

fn review(said: &Said, head: &str) -> Option<Value> {
    let (state, body, comments) = match &said.remark.place {
        RemarkPlace::Conversation => return None,
        RemarkPlace::Line { .. } => ("COMMENT", "", 1),
        RemarkPlace::Review(verdict) => {
            let state = match verdict {
                Verdict::Comments => "COMMENT",
                Verdict::Approves => "APPROVED",
                Verdict::AsksForChanges => "REQUEST_CHANGES",
            };
            (state, said.remark.body.as_str(), 0)
        }
    };
    Some(json!({
        "id": said.note,
        "user": {"login": said.remark.author, "username": said.remark.author},
        "state": state,
        "body": body,
        "submitted_at": said.at,
        "official": said.remark.standing == Standing::Member,
        "dismissed": false,
        "commit_id": said.head,
        "stale": said.head != head,
        "comments_count": comments,
    }))
}
