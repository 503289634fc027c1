//! What was asked of the forge, for tests that count or inspect requests.
//!
//! Invariant: bounded, and no credential is kept: an `authorization` header
//! leaves only a fingerprint, equal for equal values.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use serde::Serialize;

/// How many requests are kept; older ones are forgotten.
const KEPT: usize = 10_000;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// Counts from 1 since the forge started.
    pub number: u64,
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query as they were sent.
    pub path: String,
    /// Lower case, in the order they were sent.
    pub header_names: Vec<String>,
    /// [`fingerprint`] of the `authorization` header.
    pub authorization: Option<String>,
    /// The answer's status; `None` while it is being made.
    pub status: Option<u16>,
}

/// A short one-way mark of a header value, stable within one build.
pub fn fingerprint(value: &str) -> String {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The record itself.
#[derive(Debug, Default)]
pub(super) struct Requests {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    requests: VecDeque<RequestRecord>,
}

impl Requests {
    /// Notes a request before it is answered and returns its number.
    pub(super) fn arrived(&self, request: &Request) -> u64 {
        let headers = request.headers();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last += 1;
        let record = RequestRecord {
            number: kept.last,
            method: request.method().to_string(),
            path: request.uri().to_string(),
            header_names: headers.keys().map(|name| name.as_str().to_owned()).collect(),
            authorization: headers
                .get(AUTHORIZATION)
                .map(|value| fingerprint(&String::from_utf8_lossy(value.as_bytes()))),
            status: None,
        };
        kept.requests.push_back(record);
        if kept.requests.len() > KEPT {
            kept.requests.pop_front();
        }
        kept.last
    }

    /// Adds the answer's status.
    pub(super) fn answered(&self, number: u64, status: StatusCode) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = kept.requests.iter_mut().rev().find(|r| r.number == number) {
            record.status = Some(status.as_u16());
        }
    }

    /// All that are kept, oldest first.
    pub(super) fn all(&self) -> Vec<RequestRecord> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.requests.iter().cloned().collect()
    }

    /// Forgets the requests; numbering goes on.
    pub(super) fn clear(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).requests.clear();
    }
}
