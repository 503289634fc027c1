//! The bodies that create and change a pull request, read strictly: unknown
//! fields and another content type are refused, not ignored.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::PullState;
use super::api_error::ApiError;
use super::pulls::PullChange;

/// The largest body that is read, in bytes; far above GitHub's text limits.
const BODY_MAX: usize = 1024 * 1024;
/// GitHub's limit for a title, in characters.
const TITLE_MAX: usize = 256;
/// GitHub's limit for a pull request's text, in characters.
const TEXT_MAX: usize = 65_536;

/// `POST …/pulls`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreatePull {
    pub(super) title: String,
    pub(super) head: String,
    pub(super) base: String,
    pub(super) body: Option<String>,
    pub(super) draft: Option<bool>,
    /// Accepted, without effect: there are no forks here.
    #[serde(rename = "maintainer_can_modify")]
    _maintainer_can_modify: Option<bool>,
}

/// `PATCH …/pulls/{number}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdatePull {
    title: Option<String>,
    /// `null` removes the text, absence keeps it.
    #[serde(default, deserialize_with = "present")]
    body: Option<Option<String>>,
    state: Option<PullState>,
    pub(super) base: Option<String>,
    #[serde(rename = "maintainer_can_modify")]
    _maintainer_can_modify: Option<bool>,
}

/// Reads a JSON object of type `T`.
pub(super) async fn read<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    let given = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.unwrap_or_default().to_owned();
    let media = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !["application/json", "application/vnd.github+json"].contains(&media.as_str()) {
        return Err(ApiError::UnsupportedContentType(given));
    }
    let bytes = to_bytes(request.into_body(), BODY_MAX)
        .await
        .map_err(|error| ApiError::NotJson(error.to_string()))?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| ApiError::NotJson(error.to_string()))?;
    if !value.is_object() {
        return Err(ApiError::NotJson("Body should be a JSON object".to_owned()));
    }
    serde_json::from_value(value).map_err(|error| ApiError::InvalidRequest(error.to_string()))
}

impl CreatePull {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        check_title(&self.title)?;
        check_text(self.body.as_deref())
    }
}

impl UpdatePull {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        self.title.as_deref().map_or(Ok(()), check_title)?;
        check_text(self.body.as_ref().and_then(Option::as_deref))
    }

    pub(super) fn into_change(self) -> PullChange {
        let Self { title, body, state, base, _maintainer_can_modify: _ } = self;
        PullChange { title, body, state, base, ..PullChange::default() }
    }
}

fn check_title(title: &str) -> Result<(), ApiError> {
    if title.trim().is_empty() {
        return Err(ApiError::ValidationFailed(json!({
            "resource": "PullRequest", "field": "title", "code": "missing_field",
        })));
    }
    check_length("title", title, TITLE_MAX)
}

fn check_text(text: Option<&str>) -> Result<(), ApiError> {
    text.map_or(Ok(()), |text| check_length("body", text, TEXT_MAX))
}

fn check_length(field: &str, text: &str, max: usize) -> Result<(), ApiError> {
    if text.chars().count() > max {
        return Err(ApiError::custom(format!("{field} is too long (maximum is {max} characters)")));
    }
    Ok(())
}

/// Tells `null` from absence.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}
