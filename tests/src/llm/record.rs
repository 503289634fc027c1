//! What the model was sent, whole: tests search it for what must never leave.
//!
//! Invariant: bounded; the oldest requests are forgotten first.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::NOTHING_ASKED;

/// How much is kept in memory, in bytes of bodies.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// One request and how it was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LlmRequest {
    /// Counts from 1 since the start or the last reset.
    pub number: u64,
    /// `POST`, `GET`, …
    pub method: String,
    /// Path and query as they were sent.
    pub path: String,
    /// Names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
    /// `chat`, `responses`, `anthropic` or `gemini`; `None` for other paths.
    pub wire: Option<&'static str>,
    /// The model asked for.
    pub model: String,
    /// The tools offered.
    pub tools: Vec<String>,
    /// What was answered: `text`, `call write`, `status 500`, `hang`, …
    pub answer: String,
}

impl LlmRequest {
    /// Whether it asked something: clients look first whether an endpoint speaks their wire.
    pub fn asks(&self) -> bool {
        self.answer != NOTHING_ASKED
    }
}

/// The record itself.
#[derive(Debug, Default)]
pub(super) struct Requests {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    generated: u64,
    bytes: usize,
    requests: VecDeque<LlmRequest>,
    log: Option<File>,
}

impl Requests {
    /// A record that is also appended to a file.
    pub(super) fn with_log(path: &Path) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(path)?;
        Ok(Self { kept: Mutex::new(Kept { log: Some(log), ..Kept::default() }) })
    }

    /// Counts a request to a model, and returns its number from 1.
    pub(super) fn next_generation(&self) -> u64 {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.generated += 1;
        kept.generated
    }

    /// Adds a request, giving it its number.
    pub(super) fn add(&self, mut request: LlmRequest) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last += 1;
        request.number = kept.last;
        if let Some(log) = &mut kept.log
            && let Err(error) = append(log, &request)
        {
            tracing::error!(%error, request.number, "the request log misses a request");
        }
        kept.bytes += request.body.len();
        kept.requests.push_back(request);
        while kept.bytes > KEPT_BYTES {
            let Some(oldest) = kept.requests.pop_front() else {
                break;
            };
            kept.bytes -= oldest.body.len();
        }
    }

    /// All that are kept, oldest first.
    pub(super) fn all(&self) -> Vec<LlmRequest> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.requests.iter().cloned().collect()
    }

    /// Forgets the requests and starts to count afresh.
    pub(super) fn clear(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let log = kept.log.take();
        *kept = Kept { log, ..Kept::default() };
    }
}

fn append(log: &mut File, request: &LlmRequest) -> io::Result<()> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    log.write_all(&line)
}
