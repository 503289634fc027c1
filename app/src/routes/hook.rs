//! What a run tells and proposes beside its log. (Ours.)

use api_client::{ProjectId, TicketId};
use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::{TICKET, URL};
use crate::body::{Fields, Ids, invalid};
use crate::clock::Timestamp;
use crate::error::ApiError;
use crate::model::{Checkpoint, Hook};
use crate::state::App;
use crate::store::{NewCheckpoint, Proposal};

/// Checkpoints in one request.
const CHECKPOINTS_MAX: usize = 100;
const NOTE_MAX: usize = 1_000;
const SESSION_MAX: usize = 200;
/// Proposals in one request; how many a run may add is the store's rule.
const PROPOSALS_MAX: usize = 20;
const TITLE_MAX: usize = 200;
const TEXT_MAX: usize = 4_096;

type InProject = Ids<(ProjectId, TicketId)>;

/// Adds checkpoints.
pub(crate) async fn add_checkpoints(
    State(app): State<App>,
    Ids((project, ticket)): InProject,
    mut fields: Fields,
) -> Result<Json<Value>, ApiError> {
    app.leases().ok_or(URL)?;
    let session = fields.required_text("session_id", SESSION_MAX)?;
    let new = fields.objects("checkpoints", CHECKPOINTS_MAX)?;
    let new: Vec<_> = new.into_iter().map(checkpoint).collect::<Result<_, _>>()?;
    let count = new.len();
    match app.store.add_checkpoints(project, ticket, session, new, Timestamp::now()).await? {
        true => Ok(Json(json!({ "count": count }))),
        false => Err(TICKET),
    }
}

/// The newest checkpoints, oldest first.
pub(crate) async fn list_checkpoints(
    State(app): State<App>,
    Ids((project, ticket)): InProject,
) -> Result<Json<Vec<Checkpoint>>, ApiError> {
    app.store.checkpoints(project, ticket).await?.map(Json).ok_or(TICKET)
}

/// Adds the tickets that a run proposes, as far as they are new and not too many.
pub(crate) async fn propose(
    State(app): State<App>,
    Ids((project, ticket)): InProject,
    mut fields: Fields,
) -> Result<Json<Value>, ApiError> {
    app.leases().ok_or(URL)?;
    let session = fields.required_text("session_id", SESSION_MAX)?;
    let proposals = fields.objects("follow_ups", PROPOSALS_MAX)?;
    let proposals = proposals.into_iter().map(proposal).collect::<Result<_, _>>()?;
    let proposed = app.store.propose(project, ticket, session, proposals, Timestamp::now());
    let proposed = proposed.await?.ok_or(TICKET)?;
    for created in &proposed.created {
        tracing::info!(ticket.id = %created, origin.id = %ticket, "follow-up ticket added");
    }
    Ok(Json(json!({
        "created": proposed.created,
        "known": proposed.known,
        "refused": proposed.refused,
    })))
}

fn checkpoint(fields: Map<String, Value>) -> Result<NewCheckpoint, ApiError> {
    let mut fields: Fields = fields.into();
    Ok(NewCheckpoint {
        hook: fields.typed::<Hook>("hook")?.ok_or_else(|| invalid("hook is required"))?,
        turn: fields.number("turn", u32::MAX.into())?,
        note: fields.text("note", NOTE_MAX)?.unwrap_or_default(),
        tokens: fields.number("tokens", i64::MAX.unsigned_abs())?,
    })
}

fn proposal(fields: Map<String, Value>) -> Result<Proposal, ApiError> {
    let mut fields: Fields = fields.into();
    Ok(Proposal {
        title: fields.required_text("title", TITLE_MAX)?,
        text: fields.text("text", TEXT_MAX)?.unwrap_or_default(),
    })
}
