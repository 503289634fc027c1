//! Labels and reviewers of pull requests, as GitHub has them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Forge;
use super::api::find;
use super::api_error::ApiError;
use super::pull_body::read;
use super::roster::{LABELS, PEOPLE};

/// The longer of the two forms that GitHub takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddLabels {
    labels: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskForReview {
    #[serde(default)]
    reviewers: Vec<String>,
    #[serde(default)]
    team_reviewers: Vec<String>,
}

/// `GET /repos/{owner}/{repo}/labels/{name}`.
pub(super) async fn label(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, name)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    find(&forge, &owner, &repo)?;
    match LABELS.contains(&name.as_str()) {
        true => Ok(Json(json!({"name": name}))),
        false => Err(ApiError::NotFound),
    }
}

/// `POST /repos/{owner}/{repo}/issues/{number}/labels`. As on the real forge, a label that is not
/// there is made.
pub(super) async fn add_labels(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, number)): Path<(String, String, u64)>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let repo = find(&forge, &owner, &repo)?;
    let AddLabels { labels } = read(request).await?;
    let pull = forge.pulls.add_labels(&repo.name, number, &labels)?;
    Ok(Json(pull.labels.iter().map(|name| json!({"name": name})).collect()))
}

/// `POST /repos/{owner}/{repo}/pulls/{number}/requested_reviewers`: all or none.
pub(super) async fn ask_for_review(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, number)): Path<(String, String, u64)>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let repo = find(&forge, &owner, &repo)?;
    let AskForReview { reviewers, team_reviewers } = read(request).await?;
    let known = reviewers.iter().all(|name| PEOPLE.contains(&name.as_str()));
    if !known || !team_reviewers.is_empty() {
        let message = "Reviews may only be requested from collaborators.";
        return Err(ApiError::Unprocessable(message));
    }
    forge.pulls.add_reviewers(&repo.name, number, &reviewers)?;
    Ok((StatusCode::CREATED, Json(json!({"number": number}))))
}
