//! What the calls to the engine, and those to the app, came to and how long they took: told by the
//! clients when a call has ended, read by whoever shows it. It decides nothing about jobs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api_client::{ApiError, Call, CallObserver};

use crate::metrics::Histogram;

/// Upper bounds of the times that calls take, in seconds.
const CALL_BOUNDS: &[f64] = &[0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// The operation that the original app answers to whoever asks, with a key or without one.
const KEYLESS: &str = "settings";

/// The calls to one of both.
#[derive(Debug)]
pub(crate) struct Calls(Mutex<Seen>);

/// What is known of them.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// By what was asked for: a word of the program's own.
    pub(crate) operations: BTreeMap<String, Operation>,
    /// How the last one ended.
    pub(crate) last: Option<Last>,
    /// What was said when the key was refused, until a call that needs it is answered.
    pub(crate) key_refused: Option<String>,
    /// When the last one ended, whichever way; before the first, when we began.
    pub(crate) ended: Instant,
}

/// The calls of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) took: Histogram,
    /// How many got no answer.
    pub(crate) unanswered: u64,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub(crate) struct Last {
    pub(crate) at: Instant,
    pub(crate) took: Duration,
    /// Why there was no answer.
    pub(crate) problem: Option<String>,
}

impl Calls {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Seen {
            operations: BTreeMap::new(),
            last: None,
            key_refused: None,
            ended: Instant::now(),
        }))
    }

    /// One has ended: with an answer, which may be a refusal, or with none, and why.
    pub(crate) fn note(&self, operation: &str, took: Duration, problem: Option<String>) {
        let mut seen = self.inner();
        let at = Instant::now();
        if !seen.operations.contains_key(operation) {
            let new = Operation { took: Histogram::new(CALL_BOUNDS), unanswered: 0 };
            seen.operations.insert(operation.to_owned(), new);
        }
        if let Some(of) = seen.operations.get_mut(operation) {
            of.took.observe(took);
            of.unanswered += u64::from(problem.is_some());
        }
        seen.last = Some(Last { at, took, problem });
        seen.ended = at;
    }

    /// All that is known.
    pub(crate) fn seen(&self) -> Seen {
        self.inner().clone()
    }

    /// How long ago the last one ended, or we began.
    pub(crate) fn ended_ago(&self) -> Duration {
        self.inner().ended.elapsed()
    }

    fn inner(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallObserver for Calls {
    fn called(&self, call: &Call, took: Duration, error: Option<&ApiError>) {
        let problem = match error {
            Some(
                error @ (ApiError::Unreachable { .. }
                | ApiError::Busy { .. }
                | ApiError::Malformed { .. }),
            ) => Some(error.to_string()),
            Some(
                ApiError::Unauthorised { .. } | ApiError::Gone { .. } | ApiError::Refused { .. },
            )
            | None => None,
        };
        let answered = problem.is_none();
        self.note(call.operation(), took, problem);
        if let Some(error @ ApiError::Unauthorised { .. }) = error {
            self.inner().key_refused = Some(error.to_string());
        } else if answered && call.operation() != KEYLESS {
            self.inner().key_refused = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str) -> Call {
        Call { method: "GET", path: path.to_owned() }
    }

    fn told(calls: &Calls, path: &str, error: Option<&ApiError>) {
        calls.called(&call(path), Duration::from_millis(3), error);
    }

    #[test]
    fn a_refused_key_is_remembered_until_a_call_that_needs_one_is_answered() {
        let calls = Calls::new();
        let call = call("/api/worker/jobs/start");
        let message = "Invalid worker API token".to_owned();
        let refused = ApiError::Unauthorised { call, status: 401, message };
        told(&calls, "/api/worker/jobs/start", Some(&refused));
        told(&calls, "/api/settings", None);
        assert!(calls.seen().key_refused.is_some());
        assert!(calls.seen().last.unwrap().problem.is_none(), "it answers");
        told(&calls, "/api/worker/jobs/start", None);
        assert!(calls.seen().key_refused.is_none());
    }

    #[test]
    fn calls_are_counted_by_words_that_are_the_same_for_every_job() {
        let calls = Calls::new();
        for _ in 0..50 {
            let job = api_client::JobId::random();
            told(&calls, &format!("/api/worker/jobs/{job}/heartbeat"), None);
        }
        let seen = calls.seen();
        assert_eq!(seen.operations.keys().collect::<Vec<_>>(), ["heartbeat"]);
        assert_eq!(seen.operations["heartbeat"].took.count(), 50);
    }
}
