//! Errors of the REST API, in GitHub's shapes and words where a client may
//! depend on them.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{GitError, PullStoreError};

/// Sent with every error, as GitHub does.
pub(super) const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// Why a request to the API was refused.
#[derive(Debug)]
pub(super) enum ApiError {
    RequiresAuthentication,
    BadCredentials,
    /// A GitHub App's statement about itself.
    BadStatement(&'static str),
    NoUserAgent,
    NotFound,
    UnsupportedVersion(String),
    UnsupportedAccept(String),
    UnsupportedContentType(String),
    NotJson(String),
    /// The fields are right and what they ask for is not to be had.
    Unprocessable(&'static str),
    /// The body is JSON but not the right fields.
    InvalidRequest(String),
    /// The fields are right but their values are not possible.
    ValidationFailed(Value),
    /// Not the client's fault.
    Internal(String),
}

impl ApiError {
    /// A refusal in words.
    pub(super) fn custom(message: impl Into<String>) -> Self {
        Self::ValidationFailed(json!({
            "resource": "PullRequest", "code": "custom", "message": message.into(),
        }))
    }

    /// A field with an impossible value.
    pub(super) fn invalid(field: &str) -> Self {
        Self::ValidationFailed(json!({
            "resource": "PullRequest", "field": field, "code": "invalid",
        }))
    }

    fn parts(self) -> (StatusCode, String, Option<Value>) {
        let plain = |status, message: &str| (status, message.to_owned(), None);
        match self {
            Self::RequiresAuthentication => {
                plain(StatusCode::UNAUTHORIZED, "Requires authentication")
            }
            Self::BadCredentials => plain(StatusCode::UNAUTHORIZED, "Bad credentials"),
            Self::BadStatement(why) => plain(StatusCode::UNAUTHORIZED, why),
            Self::Unprocessable(why) => plain(StatusCode::UNPROCESSABLE_ENTITY, why),
            Self::NoUserAgent => plain(
                StatusCode::FORBIDDEN,
                "Request forbidden by administrative rules. A User-Agent header is required.",
            ),
            Self::NotFound => plain(StatusCode::NOT_FOUND, "Not Found"),
            Self::UnsupportedVersion(version) => (
                StatusCode::BAD_REQUEST,
                format!("{version:?} is not a supported API version"),
                None,
            ),
            Self::UnsupportedAccept(accept) => {
                let message = format!(
                    "Unsupported 'Accept' header: {accept:?}. Must accept 'application/json'."
                );
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, message, None)
            }
            Self::UnsupportedContentType(given) => {
                let message = format!("Content-Type {given:?} is not application/json");
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, message, None)
            }
            Self::NotJson(detail) => {
                (StatusCode::BAD_REQUEST, format!("Problems parsing JSON: {detail}"), None)
            }
            Self::InvalidRequest(detail) => {
                let message = format!("Invalid request.\n\n{detail}");
                (StatusCode::UNPROCESSABLE_ENTITY, message, None)
            }
            Self::ValidationFailed(error) => {
                let message = "Validation Failed".to_owned();
                (StatusCode::UNPROCESSABLE_ENTITY, message, Some(json!([error])))
            }
            Self::Internal(message) => (StatusCode::INTERNAL_SERVER_ERROR, message, None),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, message, errors) = self.parts();
        let mut body = json!({
            "message": message,
            "documentation_url": DOCUMENTATION,
            "status": status.as_str(),
        });
        if let Some(errors) = errors {
            body["errors"] = errors;
        }
        let headers = [(CONTENT_TYPE, "application/json; charset=utf-8")];
        (status, headers, Body::from(body.to_string())).into_response()
    }
}

impl From<GitError> for ApiError {
    fn from(error: GitError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<PullStoreError> for ApiError {
    fn from(error: PullStoreError) -> Self {
        match error {
            PullStoreError::Absent => Self::NotFound,
            PullStoreError::AlreadyOpen { .. }
            | PullStoreError::File { .. }
            | PullStoreError::Malformed { .. } => Self::Internal(error.to_string()),
        }
    }
}
