//! The memory of projects.

use api_client::ProjectId;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::PROJECT;
use crate::body::{Fields, Ids, invalid};
use crate::error::ApiError;
use crate::state::App;

const QUERIES_MAX: usize = 100;
const LIMIT_MAX: u32 = 100;
const LIMIT_DEFAULT: u32 = 5;

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
    let limit = fields.number("num_to_retrieve", u64::from(LIMIT_MAX))?;
    let limit = limit.and_then(|limit| u32::try_from(limit).ok());
    let found = app
        .store
        .recall(project, queries.clone(), limit.unwrap_or(LIMIT_DEFAULT))
        .await?
        .ok_or(PROJECT)?;
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
    if app.store.remember(project, docs).await? {
        Ok(Json(json!({ "count": count, "message": "Indexed" })))
    } else {
        Err(PROJECT)
    }
}
