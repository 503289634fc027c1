//! Every URL of the server, and what all requests go through: access log, time limit, key.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::auth;
use crate::error::ApiError;
use crate::routes::{URL, health, job, log, memory, project, setting, ticket, worker};
use crate::state::App;

/// Longest time for one request, its body included.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// All routes. The first part is the API of the original app, the second is ours.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/api/worker/jobs/start", post(worker::start))
        .route("/api/worker/jobs/{job}/complete", post(worker::complete))
        .route("/api/worker/jobs/{job}/fail", post(worker::fail))
        .route("/api/projects/{project}/tickets/{ticket}/worker-context", get(worker::context))
        .route("/api/projects/{project}/tickets/{ticket}/logs", post(log::add).get(log::list))
        .route("/api/projects/{project}/tickets/{ticket}/complete", post(ticket::complete))
        .route("/api/projects/{project}/tickets/{ticket}/cancel", post(ticket::cancel))
        .route(
            "/api/projects/{project}/tickets/{ticket}/cancel-requested",
            get(ticket::cancel_requested),
        )
        .route("/api/projects/{project}/memory/retrieve", post(memory::retrieve))
        .route("/api/projects/{project}/memory/index", post(memory::index))
        .route("/api/settings", get(setting::show).put(setting::change))
        //
        .route("/api/worker/jobs/{job}/heartbeat", post(worker::heartbeat))
        .route("/api/worker/queue", get(worker::queue))
        .route("/api/health", get(health::show))
        .route("/api/projects", get(project::list).post(project::create))
        .route(
            "/api/projects/{project}",
            get(project::show).patch(project::edit).delete(project::delete),
        )
        .route("/api/projects/{project}/tickets", get(ticket::list).post(ticket::create))
        .route(
            "/api/projects/{project}/tickets/{ticket}",
            get(ticket::show).patch(ticket::edit).delete(ticket::delete),
        )
        .route("/api/projects/{project}/tickets/{ticket}/reviews", post(job::enqueue_review))
        .route("/api/tickets/{ticket}", get(ticket::find))
        .route("/api/jobs", get(job::list))
        .route("/api/jobs/{job}", get(job::show))
        .fallback(async || URL)
        .layer(from_fn_with_state(app.clone(), auth::require_key))
        .layer(from_fn(limit_time))
        .layer(from_fn(log_access))
        .with_state(app)
}

async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => ApiError::TooSlow.into_response(),
    }
}

/// The path alone: no query, header or body is logged.
async fn log_access(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let started = Instant::now();
    let response = next.run(request).await;
    tracing::debug!(
        %method,
        path,
        status = response.status().as_u16(),
        ms = started.elapsed().as_millis(),
        "request"
    );
    response
}
