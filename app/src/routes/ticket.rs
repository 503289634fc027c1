//! Tickets: the board, delivery, cancelling.

use api_client::{ProjectId, TicketId};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{PROJECT, TICKET, removed};
use crate::body::{Fields, Ids, invalid};
use crate::clock::Timestamp;
use crate::error::ApiError;
use crate::model::{Column, Priority, Ticket};
use crate::queue::Cancellation;
use crate::state::App;
use crate::store::{Delivery, NewTicket, TicketEdit};

const TITLE_MAX: usize = 500;
const DESCRIPTION_MAX: usize = 500_000;
const SUMMARY_MAX: usize = 100_000;
const URL_MAX: usize = 2_000;

type InProject = Ids<(ProjectId, TicketId)>;

/// The tickets of a project, oldest first.
pub(crate) async fn list(
    State(app): State<App>,
    Ids(project): Ids<ProjectId>,
) -> Result<Json<Vec<Ticket>>, ApiError> {
    app.store.tickets(project).await?.map(Json).ok_or(PROJECT)
}

/// Adds a ticket: 201.
pub(crate) async fn create(
    State(app): State<App>,
    Ids(project): Ids<ProjectId>,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Ticket>), ApiError> {
    let new = NewTicket {
        title: fields.required_text("title", TITLE_MAX)?,
        description: fields.text("description", DESCRIPTION_MAX)?.unwrap_or_default(),
        priority: fields.typed("priority")?.unwrap_or(Priority::Medium),
        column: fields.typed("column_id")?.unwrap_or(Column::Backlog),
    };
    let ticket = app.store.create_ticket(project, new, Timestamp::now());
    let ticket = ticket.await?.ok_or(PROJECT)?;
    Ok((StatusCode::CREATED, Json(ticket)))
}

pub(crate) async fn show(
    State(app): State<App>,
    Ids((project, id)): InProject,
) -> Result<Json<Ticket>, ApiError> {
    in_project(&app, project, id).await.map(Json)
}

/// A ticket whose project is not known.
pub(crate) async fn find(
    State(app): State<App>,
    Ids(id): Ids<TicketId>,
) -> Result<Json<Ticket>, ApiError> {
    app.store.ticket(id).await?.map(Json).ok_or(TICKET)
}

/// Changes the fields that the body has. `column_id: in_progress` puts a job in the queue unless
/// one waits or runs.
pub(crate) async fn edit(
    State(app): State<App>,
    Ids((project, id)): InProject,
    mut fields: Fields,
) -> Result<Json<Ticket>, ApiError> {
    let title =
        if fields.has("title") { Some(fields.required_text("title", TITLE_MAX)?) } else { None };
    let edit = TicketEdit {
        title,
        description: fields.text("description", DESCRIPTION_MAX)?,
        priority: fields.typed("priority")?,
        column: fields.typed("column_id")?,
    };
    let ticket = app.store.edit_ticket(project, id, edit, Timestamp::now()).await?;
    ticket.map(Json).ok_or(TICKET)
}

/// Deletes a ticket with its logs and jobs: 204, or 409 while a job of it waits or runs.
pub(crate) async fn delete(
    State(app): State<App>,
    Ids((project, id)): InProject,
) -> Result<StatusCode, ApiError> {
    removed(app.store.delete_ticket(project, id).await?, TICKET)
}

/// The agent has delivered: the ticket goes to review. May be repeated.
pub(crate) async fn complete(
    State(app): State<App>,
    Ids((project, id)): InProject,
    mut fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let delivery = Delivery {
        summary: fields.text("summary", SUMMARY_MAX)?,
        pr_url: fields.text("pr_url", URL_MAX)?.filter(|url| !url.trim().is_empty()),
        pr_number: fields.lenient_number("pr_number"),
    };
    if delivery.pr_url.as_deref().is_some_and(|url| !is_web(url)) {
        return Err(invalid("pr_url must be an http or https URL"));
    }
    let delivered = app.store.deliver(project, id, delivery, Timestamp::now());
    if !delivered.await? {
        return Err(TICKET);
    }
    app.happened(id);
    tracing::info!(ticket.id = %id, "ticket delivered");
    Ok(Json(json!({ "message": "Complete", "ticket_id": id })))
}

/// Takes a waiting job out of the queue, or asks a running one to stop. `effect` is ours; the
/// original only notes the request.
pub(crate) async fn cancel(
    State(app): State<App>,
    Ids((project, id)): InProject,
) -> Result<Json<Value>, ApiError> {
    if let Some(flags) = app.cancel_flags() {
        in_project(&app, project, id).await?;
        flags.set(id);
        return Ok(Json(json!({ "message": "Cancellation requested" })));
    }
    let effect = app.store.cancel(project, id, Timestamp::now()).await?;
    app.happened(id);
    let effect = match effect.ok_or(TICKET)? {
        Cancellation::Withdraw => "withdrawn",
        Cancellation::Ask => "asked",
        Cancellation::Nothing => "nothing_active",
    };
    Ok(Json(json!({ "message": "Cancellation requested", "effect": effect })))
}

/// Whether the ticket's newest job is to stop; of the original, whether anyone ever asked.
pub(crate) async fn cancel_requested(
    State(app): State<App>,
    Ids((project, id)): InProject,
) -> Result<Json<Value>, ApiError> {
    if let Some(flags) = app.cancel_flags() {
        in_project(&app, project, id).await?;
        return Ok(Json(json!({ "cancel_requested": flags.is_set(id) })));
    }
    let requested = app.store.cancel_requested(project, id).await?;
    let requested = requested.ok_or(TICKET)?;
    Ok(Json(json!({ "cancel_requested": requested })))
}

async fn in_project(app: &App, project: ProjectId, id: TicketId) -> Result<Ticket, ApiError> {
    let ticket = app.store.ticket(id).await?;
    ticket.filter(|ticket| ticket.project_id == project).ok_or(TICKET)
}

/// The page of a pull request is shown as a link: nothing but the web is let in.
fn is_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}
