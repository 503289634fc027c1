//! Refusals of the test forge as Gitea and GitLab write them: a status and a message.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{GitError, PullStoreError};

/// A refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: Value,
}

impl Refusal {
    /// With this message: a text, or what GitLab has in its place.
    pub(super) fn new(status: StatusCode, message: impl Into<Value>) -> Self {
        Self { status, message: message.into() }
    }

    /// Of something that is not there.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("404 {what} Not Found"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "message": self.message }))).into_response()
    }
}

impl From<GitError> for Refusal {
    fn from(error: GitError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<PullStoreError> for Refusal {
    fn from(error: PullStoreError) -> Self {
        let status = match error {
            PullStoreError::Absent => StatusCode::NOT_FOUND,
            PullStoreError::AlreadyOpen { .. } => StatusCode::CONFLICT,
            PullStoreError::File { .. } | PullStoreError::Malformed { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, error.to_string())
    }
}
