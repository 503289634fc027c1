//! The memory of projects.

use api_client::{MemoryId, ProjectId};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{MEMORY, PROJECT, removed};
use crate::body::{Fields, Ids, invalid};
use crate::clock::Timestamp;
use crate::error::ApiError;
use crate::model::Memory;
use crate::state::App;

const QUERIES_MAX: usize = 20;
const RETRIEVE_MAX: u32 = 50;
const RETRIEVE_DEFAULT: usize = 5;

const DOCS_MAX: usize = 100;
/// Characters: a ticket's description may have 200,000, and there are title and summary.
const DOC_MAX: usize = 250_000;

const LIST_DEFAULT: u32 = 100;
const LIST_MAX: u32 = 1_000;

/// Passages for each question.
pub(crate) async fn retrieve(
    State(app): State<App>,
    Ids(project): Ids<ProjectId>,
    mut fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let queries = fields.texts("queries")?;
    if queries.len() > QUERIES_MAX {
        return Err(invalid(format!("queries must be at most {QUERIES_MAX}")));
    }
    let limit = fields.number("num_to_retrieve", u64::from(RETRIEVE_MAX))?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(RETRIEVE_DEFAULT);
    let found = app.memory.retrieve(project, queries.clone(), limit).await?.ok_or(PROJECT)?;
    let results = queries.iter().zip(found).map(|(question, passages)| {
        let (docs, scores): (Vec<_>, Vec<_>) =
            passages.into_iter().map(|passage| (passage.text, passage.score)).unzip();
        json!({ "question": question, "docs": docs, "doc_scores": scores })
    });
    Ok(Json(json!({ "results": results.collect::<Vec<_>>() })))
}

/// Adds passages.
pub(crate) async fn index(
    State(app): State<App>,
    Ids(project): Ids<ProjectId>,
    mut fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let docs = fields.texts("docs")?;
    let count = docs.len();
    if count > DOCS_MAX {
        return Err(invalid(format!("docs must be at most {DOCS_MAX}")));
    }
    for (index, doc) in docs.iter().enumerate() {
        if doc.trim().is_empty() {
            return Err(invalid(format!("docs[{index}] must not be blank")));
        }
        if doc.chars().count() > DOC_MAX {
            return Err(invalid(format!("docs[{index}] must be at most {DOC_MAX} characters")));
        }
    }
    if app.memory.index(project, docs, Timestamp::now()).await? {
        Ok(Json(json!({ "count": count, "message": "Indexed" })))
    } else {
        Err(PROJECT)
    }
}

/// The query of a list of memories. Unknown names are refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    limit: Option<u32>,
    offset: Option<u32>,
}

/// What a project remembers, newest first.
pub(crate) async fn list(
    State(app): State<App>,
    Ids(project): Ids<ProjectId>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Vec<Memory>>, ApiError> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let limit = query.limit.unwrap_or(LIST_DEFAULT).min(LIST_MAX);
    let memories = app.memory.list(project, limit, query.offset.unwrap_or(0)).await?;
    memories.map(Json).ok_or(PROJECT)
}

/// Deletes a passage: 204.
pub(crate) async fn delete(
    State(app): State<App>,
    Ids((project, memory)): Ids<(ProjectId, MemoryId)>,
) -> Result<StatusCode, ApiError> {
    removed(app.memory.forget(project, memory).await?, MEMORY)
}

/// Deletes all that a project remembers: 204.
pub(crate) async fn delete_all(
    State(app): State<App>,
    Ids(project): Ids<ProjectId>,
) -> Result<StatusCode, ApiError> {
    removed(app.memory.forget_all(project).await?, PROJECT)
}
