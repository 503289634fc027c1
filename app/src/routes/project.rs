//! Projects.

use api_client::ProjectId;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use url::Url;

use super::{PROJECT, removed};
use crate::body::{Fields, Ids, invalid};
use crate::clock::Timestamp;
use crate::error::ApiError;
use crate::model::{DayBudget, Execution, ExecutionMode, Project};
use crate::state::App;
use crate::store::NewProject;

const NAME_MAX: usize = 200;
const DESCRIPTION_MAX: usize = 200_000;
const URL_MAX: usize = 2_000;
const PATH_MAX: usize = 4_000;
const TOKENS_PER_DAY: &str = "token_budget_per_day";
const MONEY_PER_DAY: &str = "money_budget_per_day_usd";

/// Most tokens of a day's budget.
const TOKENS_MAX: u64 = 1_000_000_000_000;

/// All projects, oldest first.
pub(crate) async fn list(State(app): State<App>) -> Result<Json<Vec<Project>>, ApiError> {
    Ok(Json(app.store.projects().await?))
}

/// Adds a project: 201.
pub(crate) async fn create(
    State(app): State<App>,
    fields: Fields,
) -> Result<(StatusCode, Json<Project>), ApiError> {
    let new = merge(None, fields)?;
    let project = app.store.create_project(new, Timestamp::now()).await?;
    tracing::info!(project.id = %project.id, name = project.name, "project added");
    Ok((StatusCode::CREATED, Json(project)))
}

pub(crate) async fn show(
    State(app): State<App>,
    Ids(id): Ids<ProjectId>,
) -> Result<Json<Project>, ApiError> {
    app.store.project(id).await?.map(Json).ok_or(PROJECT)
}

/// Changes the fields that the body has.
pub(crate) async fn edit(
    State(app): State<App>,
    Ids(id): Ids<ProjectId>,
    fields: Fields,
) -> Result<Json<Project>, ApiError> {
    let edited = app.store.edit_project(id, |old| merge(Some(old), fields)).await?;
    edited.ok_or(PROJECT)?.map(Json)
}

/// Deletes a project with its tickets: 204, or 409 while a job of it waits or runs.
pub(crate) async fn delete(
    State(app): State<App>,
    Ids(id): Ids<ProjectId>,
) -> Result<StatusCode, ApiError> {
    removed(app.store.delete_project(id).await?, PROJECT)
}

/// The fields of the body over the old project, checked as a whole.
fn merge(old: Option<&Project>, mut fields: Fields) -> Result<NewProject, ApiError> {
    let name = match old {
        Some(old) if !fields.has("name") => old.name.clone(),
        _ => fields.required_text("name", NAME_MAX)?,
    };
    let description = match old {
        Some(old) if !fields.has("description") => old.description.clone(),
        _ => fields.text("description", DESCRIPTION_MAX)?.unwrap_or_default(),
    };
    let repo_url = match old {
        Some(old) if !fields.has("repo_url") => old.repo_url.clone(),
        _ => fields.text("repo_url", URL_MAX)?.as_deref().map(repo_url).transpose()?,
    };
    let mode = fields.typed("execution_mode")?;
    let mode = mode.or(old.map(|old| old.execution.mode()));
    let old_path = old.and_then(|old| old.execution.path().map(str::to_owned));
    let path =
        if fields.has("project_path") { fields.text("project_path", PATH_MAX)? } else { old_path };
    let execution = match mode.unwrap_or(ExecutionMode::Docker) {
        ExecutionMode::Docker if repo_url.is_none() => {
            return Err(invalid("repo_url is required unless execution_mode is local"));
        }
        ExecutionMode::Docker => Execution::Docker,
        ExecutionMode::Local => Execution::Local { project_path: absolute(path)? },
    };
    let budget = day_budget(old, &mut fields)?;
    Ok(NewProject { name, description, repo_url, execution, budget })
}

fn day_budget(old: Option<&Project>, fields: &mut Fields) -> Result<DayBudget, ApiError> {
    let mut budget = old.map(|old| old.budget).unwrap_or_default();
    if fields.has(TOKENS_PER_DAY) {
        budget.tokens = fields.number(TOKENS_PER_DAY, TOKENS_MAX)?;
        if budget.tokens == Some(0) {
            return Err(invalid(format!("{TOKENS_PER_DAY} must be above zero, or null for none")));
        }
    }
    if fields.has(MONEY_PER_DAY) {
        budget.money = fields.dollars(MONEY_PER_DAY)?;
    }
    Ok(budget)
}

fn repo_url(text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        return Err(invalid("repo_url must be an http or https URL"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        let words = "repo_url must not hold credentials: set github_agent_token instead";
        return Err(invalid(words));
    }
    Ok(text.to_owned())
}

fn absolute(path: Option<String>) -> Result<String, ApiError> {
    let path = path.unwrap_or_default().trim().to_owned();
    if path.starts_with('/') {
        Ok(path)
    } else {
        let words = "project_path must be an absolute path when execution_mode is local";
        Err(invalid(words))
    }
}
