//! The endpoints of a GitHub App: itself, its installation on a repository, and its tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::app::ForgeApp;
use super::{Forge, RepoName, pull_body, timestamp};

/// What an App of ours may ask for.
const PERMISSIONS: [(&str, &str); 4] =
    [("contents", "write"), ("issues", "read"), ("metadata", "read"), ("pull_requests", "write")];

pub(super) fn router() -> Router<Arc<Forge>> {
    Router::new()
        .route("/app", get(get_app))
        .route("/app/installations/{id}/access_tokens", post(make_token))
        .route("/repos/{owner}/{repo}/installation", get(get_installation))
}

/// `POST …/access_tokens`; an App that asks for everything is none of ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    repositories: Vec<String>,
    permissions: BTreeMap<String, String>,
}

async fn get_app(
    State(forge): State<Arc<Forge>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let app = admitted(&forge, &headers)?;
    Ok(Json(json!({ "id": app.id, "slug": "test-app", "name": "Test App" })))
}

async fn get_installation(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let app = admitted(&forge, &headers)?;
    let repo = RepoName::new(&owner, &repo).map_err(|_| ApiError::NotFound)?;
    let id = app.installation(&repo).ok_or(ApiError::NotFound)?;
    Ok(Json(json!({ "id": id, "app_id": app.id, "account": { "login": owner } })))
}

async fn make_token(
    State(forge): State<Arc<Forge>>,
    Path(installation): Path<u64>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let app = admitted(&forge, request.headers())?;
    let Wish { repositories, permissions } = pull_body::read(request).await?;
    let known = app.repositories(installation);
    if known.is_empty() {
        return Err(ApiError::NotFound);
    }
    let allowed =
        |(name, level): (&String, &String)| PERMISSIONS.contains(&(name.as_str(), level.as_str()));
    if permissions.is_empty() || !permissions.iter().all(allowed) {
        let why = "The permissions requested are not granted to this installation.";
        return Err(ApiError::Unprocessable(why));
    }
    let found: Option<Vec<RepoName>> = repositories
        .iter()
        .map(|name| known.iter().find(|repo| repo.name() == name).map(|repo| (*repo).clone()))
        .collect();
    let repos = found.filter(|found| !found.is_empty()).ok_or(ApiError::Unprocessable(
        "There is at least one repository that does not exist or is not accessible to the parent \
         installation.",
    ))?;
    let token = forge.issued.issue(app, repos);
    let answer = json!({
        "token": token,
        "expires_at": timestamp::after(app.token_life),
        "permissions": permissions,
        "repository_selection": "selected",
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// The App, where it is the one that asks.
fn admitted<'f>(forge: &'f Forge, headers: &HeaderMap) -> Result<&'f ForgeApp, ApiError> {
    let app = forge.app.as_ref().ok_or(ApiError::NotFound)?;
    app.admit(headers).map(|()| app)
}
