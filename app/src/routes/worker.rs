//! What a coordinator and an agent ask for: claims, outcomes, the worker context.

use api_client::wire::JobKind;
use api_client::{JobId, ProjectId, TicketId};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::{JOB, PROJECT, TICKET};
use crate::body::{FailReason, Fields, Ids, invalid};
use crate::clock::Timestamp;
use crate::context::worker_context;
use crate::error::ApiError;
use crate::queue::Outcome;
use crate::state::App;
use crate::store::{Claim, ClaimedJob, Settled};

/// Claims a job: 200 with the job, 204 when none waits.
pub(crate) async fn start(
    State(app): State<App>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let project = fields
        .text("project_id", usize::MAX)?
        .map(|text| text.parse::<ProjectId>())
        .transpose()
        .map_err(|_| invalid("project_id must be a valid UUID"))?;
    match app.store.claim(project, Timestamp::now()).await? {
        Claim::Empty => Ok(StatusCode::NO_CONTENT.into_response()),
        Claim::NoSuchProject => Err(PROJECT),
        Claim::Job(claimed) => {
            let job = &claimed.job;
            tracing::info!(job.id = %job.job_id, ticket.id = %job.ticket_id, "job claimed");
            Ok(Json(claimed_job(&claimed, &app)).into_response())
        }
    }
}

/// Records that a job is done.
pub(crate) async fn complete(
    State(app): State<App>,
    Ids(job): Ids<JobId>,
) -> Result<Json<Value>, ApiError> {
    settle(&app, job, Outcome::Completed, "Job completed").await
}

/// Records that a job failed. (Our optional field: `reason`.)
pub(crate) async fn fail(
    State(app): State<App>,
    Ids(job): Ids<JobId>,
    FailReason(reason): FailReason,
) -> Result<Json<Value>, ApiError> {
    settle(&app, job, Outcome::Failed { reason }, "Job failed").await
}

/// Everything the agent needs to know about its ticket, secrets of the settings included.
pub(crate) async fn context(
    State(app): State<App>,
    Ids((project, ticket)): Ids<(ProjectId, TicketId)>,
) -> Result<Json<Value>, ApiError> {
    let board = app.store.board(project, ticket).await?;
    board.map(|board| Json(worker_context(&board))).ok_or(TICKET)
}

async fn settle(
    app: &App,
    job: JobId,
    outcome: Outcome,
    message: &str,
) -> Result<Json<Value>, ApiError> {
    match app.store.settle(job, outcome, Timestamp::now()).await? {
        Settled::Done => {
            tracing::info!(job.id = %job, "{message}");
            Ok(Json(json!({ "job_id": job, "message": message })))
        }
        Settled::Refused(status) => Err(ApiError::Conflict { error: "Job not running", status }),
        Settled::Missing => Err(JOB),
    }
}

/// The answer to a claim. `agent_env` is left out when it would be empty.
fn claimed_job(claimed: &ClaimedJob, app: &App) -> Value {
    let ClaimedJob { job, project, settings } = claimed;
    let mut answer = Map::new();
    let mut put = |name: &str, value: Value| answer.insert(name.to_owned(), value);
    put("job_id", json!(job.job_id));
    put("ticket_id", json!(job.ticket_id));
    put("project_id", json!(job.project_id));
    put("kind", json!(job.kind.name()));
    put("repo_url", json!(project.repo_url));
    put("execution_mode", json!(project.execution.mode()));
    put("project_path", json!(project.execution.path()));
    if let JobKind::Review { pr_number, comment_body, github_comment_id } = &job.kind {
        put("pr_number", json!(pr_number));
        put("comment_body", json!(comment_body));
        put("github_comment_id", json!(github_comment_id));
    }
    let env = settings.agent_env(app.key());
    if !env.is_empty() {
        put("agent_env", Value::Object(env));
    }
    Value::Object(answer)
}
