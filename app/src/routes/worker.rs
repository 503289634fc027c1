//! What a coordinator and an agent ask for: claims, leases, outcomes, the worker context.

use std::time::Instant;

use api_client::contract::env::{WORKER_MONEY_LEFT, WORKER_TOKENS_LEFT};
use api_client::wire::{JobKind, JobUsage, QueueFacts};
use api_client::{ClaimId, JobId, ProjectId, TicketId, UtcTime};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::{JOB, PROJECT, TICKET, URL};
use crate::body::{Fields, Ids, invalid};
use crate::clock::Timestamp;
use crate::context::{Offers, worker_context};
use crate::error::ApiError;
use crate::lease::Leases;
use crate::model::JobStatus;
use crate::queue::{Failure, Outcome};
use crate::report::{Report, claim_id, reason_kept};
use crate::state::App;
use crate::store::{Claim, ClaimedJob, Hold, Parked, Pause, Settled};

/// Claims a job: 200 with the job, 204 when none waits. (Ours: `claim_id`, which is answered with
/// the same job for as long as that claim holds it, then with 409.)
pub(crate) async fn start(
    State(app): State<App>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let project = fields
        .text("project_id", usize::MAX)?
        .map(|text| text.parse::<ProjectId>())
        .transpose()
        .map_err(|_| invalid("project_id must be a valid UUID"))?;
    let lease = lease_asked_for(&app, &mut fields)?;
    if let Some((leases, claim)) = lease {
        leases.renew(claim, Instant::now());
    }
    let claim = lease.map(|(_, claim)| claim);
    match app.store.claim(project, claim, Timestamp::now()).await? {
        Claim::Empty => Ok(StatusCode::NO_CONTENT.into_response()),
        Claim::NoSuchProject => Err(PROJECT),
        Claim::Over(status) => Err(ApiError::ClaimOver(status)),
        Claim::Job(claimed) => {
            let job = &claimed.job;
            tracing::info!(
                job.id = %job.job_id, ticket.id = %job.ticket_id, job.attempt, "job claimed"
            );
            let mut answer = claimed_job(&claimed, &app);
            if let Some((leases, claim)) = lease {
                answer["lease"] = json!({ "claim_id": claim, "lease_sec": leases.terms.seconds() });
            }
            Ok(Json(answer).into_response())
        }
    }
}

/// Keeps the lease of a job: 409 once the job has ended or is another's. (Ours.)
pub(crate) async fn heartbeat(
    State(app): State<App>,
    Ids(job): Ids<JobId>,
    mut fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let leases = app.leases().ok_or(URL)?;
    let claim = fields.required_text("claim_id", usize::MAX)?;
    let claim = claim_id(Some(&claim))?;
    leases.renew(claim, Instant::now());
    match app.store.hold(job, claim).await? {
        Hold::Held => Ok(Json(json!({ "job_id": job, "lease_sec": leases.terms.seconds() }))),
        Hold::Over(status) => Err(ApiError::ClaimOver(Some(status))),
        Hold::Missing => Err(JOB),
    }
}

/// What waits, by project. (Ours.)
pub(crate) async fn queue(State(app): State<App>) -> Result<Json<QueueFacts>, ApiError> {
    // The app that is stood in for has no such thing.
    app.leases().ok_or(URL)?;
    Ok(Json(QueueFacts { projects: app.store.waiting(Timestamp::now()).await? }))
}

/// Records that a job is done. (Ours: `claim_id`.)
pub(crate) async fn complete(
    State(app): State<App>,
    Ids(job): Ids<JobId>,
    report: Report,
) -> Result<Json<Value>, ApiError> {
    let (claim, usage) = (report.claim, report.usage);
    settle(&app, job, claim, Outcome::Completed, usage, "Job completed").await
}

/// Records that a job failed. (Ours: `reason`, `cause`, `claim_id`.)
pub(crate) async fn fail(
    State(app): State<App>,
    Ids(job): Ids<JobId>,
    report: Report,
) -> Result<Json<Value>, ApiError> {
    let outcome = match app.leases() {
        Some(_) => Outcome::undelivered(report.failure),
        None => Outcome::Failed(Failure { cause: None, ..report.failure }),
    };
    settle(&app, job, report.claim, outcome, report.usage, "Job failed").await
}

/// Puts a job back in the queue until a provider's limit is over. (Ours.)
pub(crate) async fn park(
    State(app): State<App>,
    Ids(job): Ids<JobId>,
    mut fields: Fields,
) -> Result<Json<Value>, ApiError> {
    app.leases().ok_or(URL)?;
    let claim = fields.required_text("claim_id", usize::MAX)?;
    let claim = claim_id(Some(&claim))?;
    let until: Option<UtcTime> = fields.typed("until")?;
    let until = until.ok_or_else(|| invalid("until is required"))?.into();
    let reason = fields.text("reason", usize::MAX)?.unwrap_or_default();
    let pause = Pause { until, reason: reason_kept(&reason), usage: fields.usage("usage") };
    match app.store.park(job, claim, pause, Timestamp::now()).await? {
        Parked::Until(until) => {
            tracing::info!(job.id = %job, %until, "job parked");
            Ok(Json(json!({ "job_id": job, "message": "Job parked", "until": until })))
        }
        Parked::Ended(status, ticket) => {
            app.happened(ticket);
            tracing::info!(job.id = %job, %status, "job not parked");
            Ok(Json(json!({ "job_id": job, "message": "Job ended", "status": status })))
        }
        Parked::Refused(status @ JobStatus::Running) => Err(ApiError::ClaimOver(Some(status))),
        Parked::Refused(status) => Err(ApiError::Conflict { error: "Job not running", status }),
        Parked::Missing => Err(JOB),
    }
}

/// Everything the agent needs to know about its ticket, secrets of the settings included.
pub(crate) async fn context(
    State(app): State<App>,
    Ids((project, ticket)): Ids<(ProjectId, TicketId)>,
) -> Result<Json<Value>, ApiError> {
    let board = app.store.board(project, ticket).await?;
    let offers = match app.leases() {
        Some(_) => Offers::FollowUps,
        None => Offers::Nothing,
    };
    board.map(|board| Json(worker_context(&board, offers))).ok_or(TICKET)
}

/// The claim id of a claim, where this server hands out leases.
fn lease_asked_for<'a>(
    app: &'a App,
    fields: &mut Fields,
) -> Result<Option<(&'a Leases, ClaimId)>, ApiError> {
    let Some(leases) = app.leases() else {
        return Ok(None);
    };
    let text = fields.text("claim_id", usize::MAX)?;
    let claim = text.map(|text| claim_id(Some(&text))).transpose()?;
    Ok(claim.map(|claim| (leases, claim)))
}

async fn settle(
    app: &App,
    job: JobId,
    claim: Option<ClaimId>,
    outcome: Outcome,
    usage: Option<JobUsage>,
    message: &str,
) -> Result<Json<Value>, ApiError> {
    let by = claim.filter(|_| app.leases().is_some());
    match app.store.settle(job, by, outcome, usage, Timestamp::now()).await? {
        Settled::Done(ticket) => {
            app.happened(ticket);
            tracing::info!(job.id = %job, "{message}");
            Ok(Json(json!({ "job_id": job, "message": message })))
        }
        Settled::Refused(status @ JobStatus::Running) => Err(ApiError::ClaimOver(Some(status))),
        Settled::Refused(status) => Err(ApiError::Conflict { error: "Job not running", status }),
        Settled::Missing => Err(JOB),
    }
}

/// The answer to a claim. `agent_env` is left out when it would be empty.
fn claimed_job(claimed: &ClaimedJob, app: &App) -> Value {
    let ClaimedJob { job, project, settings, allowance } = claimed;
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
    let mut env = settings.agent_env(app.key());
    let left = [
        (WORKER_TOKENS_LEFT, allowance.tokens.map(|tokens| tokens.to_string())),
        (WORKER_MONEY_LEFT, allowance.money.map(|money| money.to_string())),
    ];
    for (name, amount) in left {
        if let Some(amount) = amount {
            env.insert(name.to_owned(), Value::String(amount));
        }
    }
    if !env.is_empty() {
        put("agent_env", Value::Object(env));
    }
    Value::Object(answer)
}
