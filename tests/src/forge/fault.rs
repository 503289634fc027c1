//! Faults on demand: the next requests that match get another answer.
//!
//! Invariant: a fault with `times` is used up exactly that often, however many
//! requests run at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Which requests fail, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// A part of path and query, such as `git-receive-pack` or `/pulls`.
    pub path_contains: String,
    /// Only this method; any when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// The status to answer, 200 to 599.
    pub status: u16,
    /// How often; for ever when absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// Further headers of the answer, such as `retry-after`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Text is sent as it is, anything else as JSON. By default an error in
    /// the shape that belongs to the path.
    #[serde(default)]
    pub body: Option<Value>,
    /// Whether the request still takes effect.
    #[serde(default)]
    pub moment: Moment,
    /// How long the answer is held back, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Instead of handling the request.
    #[default]
    Before,
    /// After it was handled: the effect is there, the answer is lost.
    After,
}

impl Fault {
    /// Answers `status` to every request whose path contains `path_contains`.
    pub fn new(path_contains: impl Into<String>, status: u16) -> Self {
        Self {
            path_contains: path_contains.into(),
            method: None,
            status,
            times: None,
            headers: BTreeMap::new(),
            body: None,
            moment: Moment::Before,
            delay_ms: 0,
        }
    }

    /// The same fault, for the next `times` matching requests only.
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// The same fault for one method.
    pub fn method(self, method: impl Into<String>) -> Self {
        Self { method: Some(method.into()), ..self }
    }

    /// The same fault with one more header in the answer.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// The same fault at another moment.
    pub fn at(self, moment: Moment) -> Self {
        Self { moment, ..self }
    }

    /// Names the first field that makes no sense.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(200..=599).contains(&self.status) {
            return Err(format!("status {} is not between 200 and 599", self.status));
        }
        for (name, value) in &self.headers {
            if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
                return Err(format!("headers: {name:?} is not a valid header"));
            }
        }
        Ok(())
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    /// The answer of this fault on `path`.
    pub(super) fn answer(&self, path: &str) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let is_api = path.starts_with("/api/");
        let mut response = match &self.body {
            Some(Value::String(text)) => text.clone().into_response(),
            Some(value) => json_body(value),
            None if is_api => json_body(&json!({
                "message": default_message(status),
                "documentation_url": super::api_error::DOCUMENTATION,
                "status": self.status.to_string(),
            })),
            None => default_message(status).into_response(),
        };
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED && !is_api {
            headers.insert(WWW_AUTHENTICATE, super::smart_http::CHALLENGE);
        }
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                headers.insert(name, value);
            }
        }
        response
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        let same = |wanted: &String| wanted.eq_ignore_ascii_case(method.as_str());
        self.times != Some(0)
            && path.contains(&self.path_contains)
            && self.method.as_ref().is_none_or(same)
    }
}

/// The faults in force, in the order they were added.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Mutex<Vec<Fault>>,
}

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    pub(super) fn clear(&self) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn all(&self) -> Vec<Fault> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Uses up the first fault that matches.
    pub(super) fn take(&self, method: &Method, path: &str) -> Option<Fault> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = list.iter_mut().find(|fault| fault.matches(method, path))?;
        if let Some(left) = &mut fault.times {
            *left -= 1;
        }
        Some(fault.clone())
    }
}

fn json_body(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json; charset=utf-8")], Body::from(value.to_string()))
        .into_response()
}

fn default_message(status: StatusCode) -> String {
    match status {
        StatusCode::UNAUTHORIZED => "Bad credentials".to_owned(),
        StatusCode::FORBIDDEN => "Resource not accessible by personal access token".to_owned(),
        StatusCode::NOT_FOUND => "Not Found".to_owned(),
        StatusCode::TOO_MANY_REQUESTS => "You have exceeded a secondary rate limit.".to_owned(),
        other => other.canonical_reason().unwrap_or("injected fault").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_used_up_and_then_the_next_one_applies() {
        let faults = Faults::default();
        faults.add(Fault::new("/pulls", 500).method("post").times(1));
        faults.add(Fault::new("/pulls", 429));
        let take = |method: Method| faults.take(&method, "/api/v3/pulls").map(|f| f.status);
        assert_eq!(take(Method::GET), Some(429));
        assert_eq!(take(Method::POST), Some(500));
        assert_eq!(take(Method::POST), Some(429));
        assert!(faults.take(&Method::GET, "/other").is_none());
    }

    #[test]
    fn an_impossible_status_is_refused_by_name() {
        assert!(Fault::new("x", 99).check().unwrap_err().contains("status 99"));
        assert!(Fault::new("x", 200).header("a b", "c").check().unwrap_err().contains("a b"));
    }
}
