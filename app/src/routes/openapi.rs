//! The description of this API, as OpenAPI.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// The document that is published: tests hold the API against it.
pub(crate) const DOCUMENT: &str = include_str!("../../../docs/worker-api.openapi.json");

/// The document.
pub(crate) async fn show() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}
