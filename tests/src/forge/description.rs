//! Requests against what the forge publishes about its REST API.
//!
//! Invariant: stricter than the forge itself. An operation, a parameter or a field that the
//! description does not know is a violation, though the forge may ignore it.

mod schema;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;

use self::schema::Schema;
use super::Forge;

/// The largest body that is read, in bytes.
const BODY_MAX: usize = 2 << 20;

/// The operations of a REST API, by `METHOD /path/{parameter}`.
#[derive(Debug, Deserialize)]
pub(super) struct Description {
    operations: BTreeMap<String, Operation>,
}

#[derive(Debug, Deserialize)]
struct Operation {
    query: BTreeMap<String, Schema>,
    body: Option<Schema>,
}

/// What requests did that they should not.
#[derive(Debug, Default)]
pub(super) struct Violations {
    list: Mutex<Vec<String>>,
}

/// How a request stands to the description.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Fits,
    /// There is no such operation, or it is not one that we should need.
    Unknown,
    Violates(String),
}

impl Violations {
    fn add(&self, violation: String) {
        tracing::error!("{violation}");
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(violation);
    }

    /// All so far, which are forgotten.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Answers 500 to a request that the description does not allow, and keeps what is wrong with it.
pub(super) async fn check(
    State(forge): State<Arc<Forge>>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let what = format!("{} {}", head.method, head.uri);
    match forge.description.judge(head.method.as_str(), path, query, &body) {
        Verdict::Fits => next.run(Request::from_parts(head, Body::from(body))).await,
        Verdict::Unknown => {
            forge.violations.add(format!("{what}: no such operation"));
            next.run(Request::from_parts(head, Body::from(body))).await
        }
        Verdict::Violates(why) => {
            let violation = format!("{what}: {why}");
            forge.violations.add(violation.clone());
            let body = Json(json!({ "message": violation }));
            (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
        }
    }
}

impl Description {
    /// Reads an excerpt.
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    fn judge(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Verdict {
        let found = self.operations.iter().find(|(key, _)| {
            key.split_once(' ').is_some_and(|(m, template)| m == method && matches(template, path))
        });
        let Some((_, operation)) = found else {
            return Verdict::Unknown;
        };
        match operation.check_query(query).and_then(|()| operation.check_body(body)) {
            Ok(()) => Verdict::Fits,
            Err(why) => Verdict::Violates(why),
        }
    }
}

impl Operation {
    fn check_query(&self, query: &str) -> Result<(), String> {
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let schema = self.query.get(name.as_ref());
            let schema = schema.ok_or_else(|| format!("unknown query parameter {name:?}"))?;
            schema.check_text(&value).map_err(|why| format!("query parameter {name:?} {why}"))?;
        }
        Ok(())
    }

    fn check_body(&self, body: &[u8]) -> Result<(), String> {
        match &self.body {
            None if body.is_empty() => Ok(()),
            None => Err("a body where there should be none".to_owned()),
            Some(_) if body.is_empty() => Ok(()),
            Some(schema) => match serde_json::from_slice(body) {
                Ok(value) => schema.check(&value, "body"),
                // What is no JSON is refused as such.
                Err(_) => Ok(()),
            },
        }
    }
}

/// Whether a path is of a template; the name of a ref at its end may have slashes.
fn matches(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some("{ref}"), Some(_)) if template.clone().next().is_none() => return true,
            (Some(part), Some(given)) if part.starts_with('{') && !given.is_empty() => {}
            (Some(part), Some(given)) if part == given => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests;
