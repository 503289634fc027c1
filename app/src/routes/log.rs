//! The logs of tickets.

use api_client::wire::STEP_MAX_CHARS;
use api_client::{ProjectId, TicketId};
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::TICKET;
use crate::body::{Fields, Ids};
use crate::clock::Timestamp;
use crate::error::ApiError;
use crate::model::LogRecord;
use crate::receive::LOG_BODY_MAX;
use crate::state::App;
use crate::store::NewLog;

const SESSION_MAX: usize = 255;

/// All entries, oldest first.
pub(crate) async fn list(
    State(app): State<App>,
    Ids((project, ticket)): Ids<(ProjectId, TicketId)>,
) -> Result<Json<Vec<LogRecord>>, ApiError> {
    let logs = app.store.logs(project, ticket).await?;
    logs.map(Json).ok_or(TICKET)
}

/// Adds an entry. A long step is cut, the rest is kept as it is.
pub(crate) async fn add(
    State(app): State<App>,
    Ids((project, ticket)): Ids<(ProjectId, TicketId)>,
    mut fields: Fields<LOG_BODY_MAX>,
) -> Result<Json<Value>, ApiError> {
    let step = fields.text("step", LOG_BODY_MAX)?;
    let step = step.filter(|step| !step.is_empty());
    let new = NewLog {
        session_id: fields.required_text("session_id", SESSION_MAX)?,
        step: step
            .map_or_else(|| "step".to_owned(), |step| step.chars().take(STEP_MAX_CHARS).collect()),
        summary: fields.text("summary", LOG_BODY_MAX)?.unwrap_or_default(),
        raw_output: fields.text("raw_output", LOG_BODY_MAX)?,
        success: fields.flag("success")?,
    };
    let id = app.store.add_log(project, ticket, new, Timestamp::now()).await?.ok_or(TICKET)?;
    Ok(Json(json!({ "id": id, "message": "Logged" })))
}
