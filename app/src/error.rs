//! Refusals of the API. Every one is JSON, `{"error": "…"}`, with the status that the original app
//! gives; where that app answers an HTML page, the body is ours.

use api_client::error_chain;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::model::JobStatus;
use crate::setting::InvalidSetting;
use crate::store::StoreError;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// 400; names the field.
    #[error("{0}")]
    Invalid(String),
    /// 400.
    #[error("{0}")]
    Setting(#[from] InvalidSetting),
    /// 401: no bearer token.
    #[error("Missing or invalid Authorization header (expected Bearer <token>)")]
    NoToken,
    /// 401: another token than ours.
    #[error("Invalid worker API token")]
    WrongToken,
    /// 401: an event that is not signed with our secret.
    #[error("Invalid signature")]
    WrongSignature,
    /// 404; names the thing.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// 408.
    #[error("the request took too long")]
    TooSlow,
    /// 409, with the state that stands in the way.
    #[error("{error}")]
    Conflict { error: &'static str, status: JobStatus },
    /// 409: the job of this claim has ended or is another's by now. The state is unknown where the
    /// job is deleted.
    #[error("Claim is over")]
    ClaimOver(Option<JobStatus>),
    /// 413.
    #[error("the body must be at most {max} bytes")]
    TooLarge {
        /// Bytes.
        max: usize,
    },
    /// 415.
    #[error("Content-Type must be application/json")]
    NotJson,
    /// 500; logged, the caller learns nothing of it.
    #[error("internal error")]
    Store(#[from] StoreError),
}

impl ApiError {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::Setting(_) => StatusCode::BAD_REQUEST,
            Self::NoToken | Self::WrongToken | Self::WrongSignature => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict { .. } | Self::ClaimOver(_) => StatusCode::CONFLICT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": self.to_string() });
        match &self {
            Self::Conflict { status, .. } => {
                body["status"] = Value::from(status.name());
            }
            Self::ClaimOver(status) => body["status"] = json!(status),
            Self::Store(error) => tracing::error!(error = %error_chain(error), "request failed"),
            _ => {}
        }
        (self.status(), Json(body)).into_response()
    }
}
