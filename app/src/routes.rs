//! Handlers: each reads its request, asks the store, shapes the answer. The URLs are in
//! [`router`](crate::router).

pub(crate) mod forge_event;
pub(crate) mod health;
pub(crate) mod hook;
pub(crate) mod job;
pub(crate) mod log;
pub(crate) mod memory;
pub(crate) mod openapi;
pub(crate) mod project;
pub(crate) mod setting;
pub(crate) mod ticket;
pub(crate) mod worker;

use crate::error::ApiError;
use crate::model::JobStatus;
use crate::store::Removal;
use axum::http::StatusCode;

const PROJECT: ApiError = ApiError::NotFound("Project");
const TICKET: ApiError = ApiError::NotFound("Ticket");
const JOB: ApiError = ApiError::NotFound("Job");
const MEMORY: ApiError = ApiError::NotFound("Memory");
pub(crate) const URL: ApiError = ApiError::NotFound("this URL");

const fn active_job(status: JobStatus) -> ApiError {
    ApiError::Conflict { error: "a job of it is pending or running", status }
}

fn removed(removal: Removal, missing: ApiError) -> Result<StatusCode, ApiError> {
    match removal {
        Removal::Done => Ok(StatusCode::NO_CONTENT),
        Removal::Active(status) => Err(active_job(status)),
        Removal::Missing => Err(missing),
    }
}
