//! Discussions, approvals and pipelines as GitLab has them: each remark that answers no other begins a
//! discussion.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CheckResult, LineSide, RemarkPlace, Said, Talk, Verdict};
use crate::forge::gitlab::refuse_quick_actions;
use crate::forge::refusal::Refusal;
use crate::forge::token_api::find;
use crate::forge::{Forge, PullRequest, RepoName};

const PER_PAGE: usize = 20;

#[derive(Debug, Deserialize)]
struct Pages {
    page: Option<usize>,
    per_page: Option<usize>,
}

/// What a note says.
#[derive(Debug, Deserialize)]
struct Words {
    body: String,
}

pub(in crate::forge) fn router() -> Router<Arc<Forge>> {
    Router::new()
        .route("/projects/{id}/merge_requests/{iid}/notes", post(note))
        .route("/projects/{id}/merge_requests/{iid}/discussions", get(discussions))
        .route("/projects/{id}/merge_requests/{iid}/discussions/{discussion}/notes", post(reply))
        .route("/projects/{id}/repository/commits/{sha}/statuses", get(statuses))
        .route("/projects/{id}/merge_requests/{iid}/approvals", get(approvals))
        .route("/projects/{id}/members/all/{user}", get(member))
}

/// Whether a reviewer asks for changes.
pub(in crate::forge) fn merge_status(
    talk: &Talk,
    repo: &RepoName,
    pull: &PullRequest,
) -> &'static str {
    let said = talk.said(repo, pull.number);
    match verdicts(&said).last() {
        Some((Verdict::AsksForChanges, _)) => "requested_changes",
        _ => "mergeable",
    }
}

/// The newest pipeline: all checks of the commit together.
pub(in crate::forge) fn pipeline(talk: &Talk, repo: &RepoName, pull: &PullRequest) -> Value {
    let checks = talk.checks(repo, &pull.head_sha);
    let Some(last) = checks.last() else {
        return Value::Null;
    };
    let failed = checks.iter().any(|check| check.result == CheckResult::Failed);
    json!({
        "id": 1,
        "sha": pull.head_sha,
        "status": if failed { "failed" } else { "success" },
        "web_url": "https://ci.example/1",
        "updated_at": last.at,
    })
}

async fn discussions(
    State(forge): State<Arc<Forge>>,
    Path((project, iid)): Path<(String, u64)>,
    Query(pages): Query<Pages>,
) -> Result<Response, Refusal> {
    let repo = find(&forge, &project)?;
    forge.pulls.get(&repo.name, iid)?;
    let said = forge.talk.said(&repo.name, iid);
    let first = said.iter().filter(|said| said.thread.is_none());
    let all: Vec<Value> = first.filter_map(|first| discussion(first, &said)).collect();
    let (page, size) =
        (pages.page.unwrap_or(1).max(1), pages.per_page.unwrap_or(PER_PAGE).min(100));
    let shown: Vec<&Value> = all.iter().skip((page - 1) * size).take(size).collect();
    let next = if all.len() > page * size { (page + 1).to_string() } else { String::new() };
    let mut response = Json(shown).into_response();
    if let Ok(next) = HeaderValue::try_from(next) {
        response.headers_mut().insert("x-next-page", next);
    }
    Ok(response)
}

async fn note(
    State(forge): State<Arc<Forge>>,
    Path((project, iid)): Path<(String, u64)>,
    Json(words): Json<Words>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    answer(&forge, &project, iid, None, words)
}

async fn reply(
    State(forge): State<Arc<Forge>>,
    Path((project, iid, discussion)): Path<(String, u64, String)>,
    Json(words): Json<Words>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let thread = discussion.strip_prefix('d').and_then(|note| note.parse().ok());
    let thread = thread.ok_or_else(|| Refusal::not_found("Discussion"))?;
    answer(&forge, &project, iid, Some(thread), words)
}

fn answer(
    forge: &Forge,
    project: &str,
    iid: u64,
    thread: Option<u64>,
    Words { body }: Words,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    refuse_quick_actions(Some(&body))?;
    let repo = find(forge, project)?.name;
    let pull = forge.pulls.get(&repo, iid)?;
    let said = forge.talk.reply(&repo, &pull, thread, body);
    let said = said.ok_or_else(|| Refusal::not_found("Discussion"))?;
    Ok((StatusCode::CREATED, Json(note_shape(&said))))
}

/// What services report; a job would have a number.
async fn statuses(
    State(forge): State<Arc<Forge>>,
    Path((project, sha)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let repo = find(&forge, &project)?;
    let checks = forge.talk.checks(&repo.name, &sha);
    let status = |check: &super::Check| {
        let status = match check.result {
            CheckResult::Passed => "success",
            CheckResult::Failed => "failed",
        };
        json!({"id": null, "name": check.name, "status": status, "target_url": null,
            "description": null})
    };
    Ok(Json(checks.iter().map(status).collect()))
}

async fn approvals(
    State(forge): State<Arc<Forge>>,
    Path((project, iid)): Path<(String, u64)>,
) -> Result<Json<Value>, Refusal> {
    let repo = find(&forge, &project)?;
    let pull = forge.pulls.get(&repo.name, iid)?;
    let said = forge.talk.said(&repo.name, iid);
    let approving = verdicts(&said).filter(|(verdict, _)| *verdict == Verdict::Approves);
    let by: Vec<Value> =
        approving.map(|(_, author)| json!({"user": {"username": author}})).collect();
    // No rule of this project asks for an approval.
    Ok(Json(json!({"iid": pull.number, "approved": true, "approved_by": by})))
}

/// One who may write, by the number of the account.
async fn member(
    State(forge): State<Arc<Forge>>,
    Path((project, user)): Path<(String, u64)>,
) -> Result<Json<Value>, Refusal> {
    let repo = find(&forge, &project)?;
    let members = forge.talk.members(&repo.name);
    let member = members.into_iter().find(|login| number_of(login) == user);
    let member = member.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "404 Not found"))?;
    Ok(Json(json!({"id": user, "username": member, "access_level": 30})))
}

/// Each account has a number.
fn number_of(login: &str) -> u64 {
    login.bytes().fold(7, |number, byte| (number * 31 + u64::from(byte)) % 1_000_003)
}

fn verdicts(said: &[Said]) -> impl Iterator<Item = (Verdict, &str)> {
    said.iter().filter_map(|said| match said.remark.place {
        RemarkPlace::Review(verdict) => Some((verdict, said.remark.author.as_str())),
        RemarkPlace::Conversation | RemarkPlace::Line { .. } => None,
    })
}

/// A remark and what answers it; an approval alone is no note.
fn discussion(first: &Said, all: &[Said]) -> Option<Value> {
    if first.remark.place == RemarkPlace::Review(Verdict::Approves) {
        return None;
    }
    let replies = all.iter().filter(|said| said.thread == Some(first.note));
    let notes: Vec<Value> = [first].into_iter().chain(replies).map(note_shape).collect();
    let individual = first.remark.place == RemarkPlace::Conversation;
    let id = format!("d{}", first.note);
    Some(json!({"id": id, "individual_note": individual, "notes": notes}))
}

fn note_shape(said: &Said) -> Value {
    let mut note = json!({
        "id": said.note,
        "type": null,
        "author": {"id": number_of(&said.remark.author), "username": said.remark.author},
        "body": said.remark.body,
        "created_at": said.at,
        "system": false,
    });
    if let RemarkPlace::Line { path, line, side } = &said.remark.place {
        let number = match side {
            LineSide::Old => "old_line",
            LineSide::New => "new_line",
        };
        note["type"] = json!("DiffNote");
        note["position"] = json!({"new_path": path, "old_path": path, number: line});
        note["resolvable"] = json!(true);
        note["resolved"] = json!(said.is_resolved);
    }
    note
}
