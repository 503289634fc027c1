//! The job queue, for people and tools.

use api_client::{JobId, ProjectId, TicketId};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::{JOB, TICKET, URL, active_job};
use crate::body::{Fields, Ids, invalid};
use crate::clock::Timestamp;
use crate::error::ApiError;
use crate::model::{Job, JobStatus};
use crate::state::App;
use crate::store::{Filter, NewReview, Queued};

const COMMENT_MAX: usize = 500_000;
const LIST_DEFAULT: u32 = 1_000;
const LIST_MAX: u32 = 10_000;

/// The query of a list of jobs. Unknown names are refused: a filter that is mistyped must not show
/// everything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    status: Option<JobStatus>,
    project_id: Option<ProjectId>,
    ticket_id: Option<TicketId>,
    limit: Option<u32>,
}

/// Jobs, newest first.
pub(crate) async fn list(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Vec<Job>>, ApiError> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let filter = Filter {
        status: query.status,
        project: query.project_id,
        ticket: query.ticket_id,
        limit: query.limit.unwrap_or(LIST_DEFAULT).min(LIST_MAX),
    };
    Ok(Json(app.store.jobs(filter).await?))
}

pub(crate) async fn show(
    State(app): State<App>,
    Ids(id): Ids<JobId>,
) -> Result<Json<Job>, ApiError> {
    app.store.job(id).await?.map(Json).ok_or(JOB)
}

/// Puts a job like one that has ended in the queue: 201 with the new one, or 409 as for a review.
pub(crate) async fn retry(
    State(app): State<App>,
    Ids(job): Ids<JobId>,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    if app.leases().is_none() {
        return Err(URL);
    }
    match app.store.retry(job, Timestamp::now()).await? {
        Queued::Job(job) => {
            tracing::info!(job.id = %job.job_id, ticket.id = %job.ticket_id, "job queued again");
            Ok((StatusCode::CREATED, Json(*job)))
        }
        Queued::Refused(newest) => Err(active_job(newest.status)),
        Queued::NoSuchTicket => Err(JOB),
    }
}

/// Puts a review job in the queue: 201, or 409 while the ticket has a job that waits or runs, or its pull request
/// has by another ticket.
pub(crate) async fn enqueue_review(
    State(app): State<App>,
    Ids((project, ticket)): Ids<(ProjectId, TicketId)>,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let number_max = i64::MAX.unsigned_abs();
    let review = NewReview {
        pr_number: fields
            .number("pr_number", number_max)?
            .ok_or_else(|| invalid("pr_number is required"))?,
        comment_body: fields.text("comment_body", COMMENT_MAX)?.unwrap_or_default(),
        github_comment_id: fields.number("github_comment_id", number_max)?,
    };
    let queued = app.store.enqueue_review(project, ticket, review, Timestamp::now()).await?;
    match queued {
        Queued::Job(job) => Ok((StatusCode::CREATED, Json(*job))),
        Queued::Refused(newest) => Err(active_job(newest.status)),
        Queued::NoSuchTicket => Err(TICKET),
    }
}
