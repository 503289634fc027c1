//! What can be asked of an app without any effect: whether it takes our key, and what it has.

use std::time::{Duration, Instant};

use reqwest::header::DATE;
use reqwest::{Method, StatusCode};
use uuid::Uuid;

use super::{POLL_TIMEOUT, WorkerApi};
use crate::error::ApiError;
use crate::http::seconds_of_date;
use crate::wire::ListedProject;

/// An app that took our key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppSeen {
    /// What its clock says, in seconds since 1970; none where it does not tell.
    pub date: Option<u64>,
    /// How long the answer took.
    pub took: Duration,
}

impl WorkerApi {
    /// Asks for the context of a ticket that no app has: the key is judged first, and nothing is claimed.
    ///
    /// # Errors
    /// [`ApiError::Unauthorised`]: the app does not take the key, or wants one.
    pub async fn probe(&self) -> Result<AppSeen, ApiError> {
        let nobody = Uuid::nil();
        let path = format!("api/projects/{nobody}/tickets/{nobody}/worker-context");
        let call = self.call("GET", path);
        let began = Instant::now();
        let (head, body) = self.exchange(&call, Method::GET, None::<&()>, POLL_TIMEOUT).await?;
        let took = began.elapsed();
        if head.status().is_success() || head.status() == StatusCode::NOT_FOUND {
            let date = head.headers().get(DATE).and_then(|date| date.to_str().ok());
            return Ok(AppSeen { date: date.and_then(seconds_of_date), took });
        }
        Err(self.refusal(&call, &head, &body))
    }

    /// All projects of the app, where it lists them.
    ///
    /// # Errors
    /// See [`ApiError`]. [`ApiError::Gone`] without words, and [`ApiError::Malformed`]: what answers is
    /// hardly the app.
    pub async fn projects(&self) -> Result<Vec<ListedProject>, ApiError> {
        let call = self.call("GET", "api/projects");
        self.get(&call, POLL_TIMEOUT).await
    }
}

/// Whether what answers under a URL is the app, by what came of [`WorkerApi::projects`] and
/// [`WorkerApi::settings`]: it refuses in words of its own; a page of something else, or a 404 without any,
/// is not its.
#[must_use]
pub fn answers_as_app(projects: &Result<Vec<ListedProject>, ApiError>, has_settings: bool) -> bool {
    match projects {
        Err(ApiError::Gone { message, .. }) if message.is_empty() => has_settings,
        Err(ApiError::Malformed { .. }) => has_settings,
        _ => true,
    }
}
