//! An HTTP server that takes whatever is posted to it: a webhook, or a collector of traces.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::wait::eventually;
use crate::server::{Bound, OwnedServer};

/// Something that was posted.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as it came.
    pub body: String,
    /// What it was answered.
    pub answered: u16,
}

impl Posted {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// The server.
pub struct Inbox {
    server: Option<OwnedServer>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    posted: Vec<Posted>,
    answers: VecDeque<u16>,
}

impl Inbox {
    /// One that answers 200, and that containers reach as well.
    pub async fn start() -> Self {
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let bound = Bound::new("0.0.0.0:0".parse().unwrap()).await.unwrap();
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        let server = bound.serve("inbox", router, CancellationToken::new());
        Self { server: Some(server), shared }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        let url = self.server.as_ref().expect("it runs").url();
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// Answers the next posts with these statuses, one after the other.
    pub fn answer(&self, statuses: &[u16]) {
        lock(&self.shared).answers.extend(statuses);
    }

    /// All that was posted so far.
    pub fn posted(&self) -> Vec<Posted> {
        lock(&self.shared).posted.clone()
    }

    /// Waits until there are so many.
    pub async fn has(&self, count: usize) -> Vec<Posted> {
        let posted = async || Some(self.posted()).filter(|posted| posted.len() >= count);
        eventually(&format!("{count} posts"), posted).await
    }

    /// The spans that came, with the name of the program that sent them.
    pub fn spans(&self) -> Vec<(String, Value)> {
        let mut spans = Vec::new();
        for posted in self.posted() {
            let of_program = &posted.json()["resourceSpans"][0];
            let program = &of_program["resource"]["attributes"][0]["value"]["stringValue"];
            let program = program.as_str().unwrap().to_owned();
            let sent = of_program["scopeSpans"][0]["spans"].as_array().unwrap();
            spans.extend(sent.iter().map(|span| (program.clone(), span.clone())));
        }
        spans
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("posted", &self.posted().len()).finish_non_exhaustive()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.cancel().cancel();
        }
    }
}

async fn take(
    State(shared): State<Arc<Mutex<Shared>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut shared = lock(&shared);
    let answered = shared.answers.pop_front().unwrap_or(200);
    let body = String::from_utf8_lossy(&body).into_owned();
    shared.posted.push(Posted { path: uri.path().to_owned(), headers, body, answered });
    StatusCode::from_u16(answered).unwrap()
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
