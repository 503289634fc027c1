//! `/_test/`: fault injection and the record, for tests in another process.
//!
//! - `POST /_test/fail` with a [`Fault`]; `GET` lists, `DELETE` forgets them
//! - `GET /_test/requests` lists [`super::RequestRecord`]s, `DELETE` forgets them

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::{Fault, Forge, RequestRecord};

pub(super) fn router() -> Router<Arc<Forge>> {
    Router::new()
        .route("/fail", post(add_fault).get(list_faults).delete(clear_faults))
        .route("/requests", get(list_requests).delete(clear_requests))
}

async fn add_fault(
    State(forge): State<Arc<Forge>>,
    fault: Result<Json<Fault>, JsonRejection>,
) -> Result<StatusCode, (StatusCode, String)> {
    let Json(fault) = fault.map_err(|error| (StatusCode::BAD_REQUEST, error.body_text()))?;
    fault.check().map_err(|message| (StatusCode::BAD_REQUEST, message))?;
    forge.faults.add(fault);
    Ok(StatusCode::NO_CONTENT)
}

async fn list_faults(State(forge): State<Arc<Forge>>) -> Json<Vec<Fault>> {
    Json(forge.faults.all())
}

async fn clear_faults(State(forge): State<Arc<Forge>>) -> StatusCode {
    forge.faults.clear();
    StatusCode::NO_CONTENT
}

async fn list_requests(State(forge): State<Arc<Forge>>) -> Json<Vec<RequestRecord>> {
    Json(forge.requests.all())
}

async fn clear_requests(State(forge): State<Arc<Forge>>) -> StatusCode {
    forge.requests.clear();
    StatusCode::NO_CONTENT
}
