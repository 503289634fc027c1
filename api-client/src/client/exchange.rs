//! One request and its answer: the key, the time limit, and what an answer that is no success means.
//!
//! Invariant: an error repeats neither the key nor the app's HTML.

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::WorkerApi;
use crate::error::{ApiError, Call};
use crate::http::describe;

/// Longest part of an error body that is kept, in characters.
const MESSAGE_MAX_CHARS: usize = 200;

/// Largest answer that is read, in bytes: a worker context holds a whole board.
const BODY_MAX: usize = 32 << 20;

/// An answer that says yes.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl WorkerApi {
    /// The call of this method and path.
    pub(super) fn call(&self, method: &'static str, path: impl Into<String>) -> Call {
        Call { method, path: format!("{}{}", self.base.path(), path.into()) }
    }

    /// Asks for something.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        call: &Call,
        limit: Duration,
    ) -> Result<T, ApiError> {
        let answer = self.send(call, Method::GET, None::<&()>, limit).await?;
        parse(call, &answer.body)
    }

    /// Sends what the app is to know. What is no JSON is not its answer: somebody before it took the request,
    /// and it knows nothing.
    pub(super) async fn tell(
        &self,
        call: &Call,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<(), ApiError> {
        let answer = self.send(call, Method::POST, Some(body), limit).await?;
        parse::<IgnoredAny>(call, &answer.body).map(drop)
    }

    /// Sends one request, and tells the observer of it; anything but a 2xx is an error.
    pub(super) async fn send(
        &self,
        call: &Call,
        method: Method,
        body: Option<&impl Serialize>,
        limit: Duration,
    ) -> Result<Answer, ApiError> {
        let begun = Instant::now();
        let exchanged = self.exchange(call, method, body, limit).await;
        let answer = exchanged.and_then(|(head, body)| match head.status() {
            status if status.is_success() => Ok(Answer { status, body }),
            _ => Err(self.refusal(call, &head, &body)),
        });
        if let Some(observer) = &self.observer {
            observer.called(call, begun.elapsed(), answer.as_ref().err());
        }
        answer
    }

    /// Sends one request, and reads the answer, whatever it is.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        method: Method,
        body: Option<&impl Serialize>,
        limit: Duration,
    ) -> Result<(Response, Vec<u8>), ApiError> {
        let mut url = self.base.clone();
        url.set_path(&call.path);
        let mut request = self.http.request(method, url).timeout(limit);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        if let Some(body) = body {
            // Sets the Content-Type without which the app answers 415.
            request = request.json(body);
        }
        let unreachable =
            |error| ApiError::Unreachable { call: call.clone(), problem: describe(error) };
        let mut response = request.send().await.map_err(unreachable)?;
        let mut text = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if text.len() + piece.len() > BODY_MAX {
                let problem = format!("more than {BODY_MAX} bytes");
                return Err(ApiError::Malformed { call: call.clone(), problem, job: None });
            }
            text.extend_from_slice(&piece);
        }
        Ok((response, text))
    }

    /// What an answer that is no success means.
    pub(super) fn refusal(&self, call: &Call, response: &Response, body: &[u8]) -> ApiError {
        let (call, status) = (call.clone(), response.status().as_u16());
        let message = self.error_message(response, body);
        match status {
            401 | 403 => ApiError::Unauthorised { call, status, message },
            404 => ApiError::Gone { call, message },
            408 | 425 | 429 | 500..=599 => {
                ApiError::Busy { call, status, message, retry_after: retry_after(response) }
            }
            _ => ApiError::Refused { call, status, message },
        }
    }

    /// The app's own words: the `error` of a JSON body, nothing of an HTML one,
    /// and never our key.
    fn error_message(&self, response: &Response, body: &[u8]) -> String {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("application/json")) {
            return String::new();
        }
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = value.get("error").and_then(Value::as_str).unwrap_or_default();
        let text = self.redactor.redact(text);
        text.chars().filter(|c| !c.is_control()).take(MESSAGE_MAX_CHARS).collect()
    }
}

/// Reads an answer.
pub(super) fn parse<T: DeserializeOwned>(call: &Call, body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::Malformed {
        call: call.clone(),
        problem: error.to_string(),
        job: None,
    })
}

/// `Retry-After` in seconds; its date form is not used by any known app.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}
