//! An HTTP proxy in front of the app that records what passes, and can refuse or be slow.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::wait::eventually;
use crate::server::{Bound, OwnedServer};

/// The longest body that passes.
const BODY_MAX: usize = 64 << 20;

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The request's body.
    pub request: Vec<u8>,
    /// The answer's status.
    pub status: StatusCode,
    /// The answer's body.
    pub answer: Vec<u8>,
    /// When the answer left the proxy.
    pub answered: SystemTime,
}

impl Exchange {
    /// A field of a JSON answer, as text.
    pub fn answer_field(&self, name: &str) -> Option<String> {
        let answer: Value = serde_json::from_slice(&self.answer).ok()?;
        answer.get(name)?.as_str().map(str::to_owned)
    }
}

/// The proxy.
pub struct AppProxy {
    server: Option<OwnedServer>,
    shared: Arc<Shared>,
}

struct Shared {
    app: String,
    http: reqwest::Client,
    state: Mutex<Records>,
}

#[derive(Default)]
struct Records {
    exchanges: Vec<Exchange>,
    refusals: Vec<Refusal>,
    slow: Option<(String, Duration)>,
    /// Requests whose path contains this: so many answers are lost.
    lost: Option<(String, usize)>,
    claims_in_flight: usize,
    most_claims_in_flight: usize,
}

struct Refusal {
    path_part: String,
    status: StatusCode,
    left: usize,
}

impl AppProxy {
    /// A proxy of the app at `app_url`.
    pub async fn start(app_url: &str) -> Self {
        // Agents in containers come to it as well.
        Self::start_at(app_url, Ipv4Addr::UNSPECIFIED).await
    }

    /// The same where no container comes to it.
    pub async fn on_localhost(app_url: &str) -> Self {
        Self::start_at(app_url, Ipv4Addr::LOCALHOST).await
    }

    async fn start_at(app_url: &str, address: Ipv4Addr) -> Self {
        let http = api_client::http::http_client("integration-tests").build().unwrap();
        let shared = Arc::new(Shared { app: app_url.to_owned(), http, state: Mutex::default() });
        let bound = Bound::new((address, 0).into()).await.unwrap();
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let server = bound.serve("app proxy", router, CancellationToken::new());
        Self { server: Some(server), shared }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        let url = self.server.as_ref().expect("it runs").url();
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// Answers the next `count` requests whose path contains a text with a status; they do not
    /// reach the app.
    pub fn refuse(&self, path_part: &str, status: u16, count: usize) {
        let status = StatusCode::from_u16(status).unwrap();
        let refusal = Refusal { path_part: path_part.to_owned(), status, left: count };
        self.records().refusals.push(refusal);
    }

    /// Loses the answers to the next `count` requests whose path contains a text and to which the
    /// app answers 200: it has acted, and the one who asked does not know.
    pub fn lose(&self, path_part: &str, count: usize) {
        self.records().lost = Some((path_part.to_owned(), count));
    }

    /// Whether all such answers were lost.
    pub fn has_lost(&self) -> bool {
        self.records().lost.as_ref().is_none_or(|(_, left)| *left == 0)
    }

    /// Has the answers to requests whose path contains a text take this much longer.
    pub fn slow_down(&self, path_part: &str, by: Duration) {
        self.records().slow = Some((path_part.to_owned(), by));
    }

    /// What passed so far, requests whose path contains a text.
    pub fn exchanges(&self, path_part: &str) -> Vec<Exchange> {
        let exchanges = &self.records().exchanges;
        exchanges.iter().filter(|exchange| exchange.path.contains(path_part)).cloned().collect()
    }

    /// The claims that brought a job, in their order.
    pub fn claims(&self) -> Vec<Exchange> {
        let claims = self.exchanges("/jobs/start").into_iter();
        claims.filter(|exchange| exchange.status == StatusCode::OK).collect()
    }

    /// Waits until the app has taken this many reports, and returns them all, in their order: the
    /// end of each path.
    pub async fn reported(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} reports"), async || {
            Some(self.reports()).filter(|reports| reports.len() >= count)
        })
        .await
    }

    fn reports(&self) -> Vec<String> {
        let all = self.exchanges("/api/worker/jobs/").into_iter();
        let taken = all.filter(|exchange| exchange.status == StatusCode::OK);
        let ends = taken.filter_map(|exchange| {
            exchange.path.strip_prefix("/api/worker/jobs/").map(str::to_owned)
        });
        ends.filter(|end| end.ends_with("/complete") || end.ends_with("/fail")).collect()
    }

    /// The most claims that were under way at once.
    pub fn most_claims_in_flight(&self) -> usize {
        self.records().most_claims_in_flight
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.shared.records()
    }
}

impl fmt::Debug for AppProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AppProxy").field(&self.shared.app).finish()
    }
}

impl Shared {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.state.lock().expect("no test panics while it holds this")
    }
}

impl Records {
    fn refusal(&mut self, path: &str) -> Option<StatusCode> {
        let refusal = self
            .refusals
            .iter_mut()
            .find(|refusal| refusal.left > 0 && path.contains(&refusal.path_part))?;
        refusal.left -= 1;
        Some(refusal.status)
    }

    fn loses(&mut self, path: &str, status: StatusCode) -> bool {
        let like = |(part, left): &&mut (String, usize)| *left > 0 && path.contains(part.as_str());
        match self.lost.as_mut().filter(like) {
            Some((_, left)) if status == StatusCode::OK => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    fn slowness(&self, path: &str) -> Duration {
        let slow = self.slow.as_ref().filter(|(part, _)| path.contains(part));
        slow.map_or(Duration::ZERO, |(_, by)| *by)
    }
}

/// Counts a claim while it is under way.
struct ClaimInFlight<'a>(&'a Shared);

impl<'a> ClaimInFlight<'a> {
    fn new(shared: &'a Shared) -> Self {
        let mut records = shared.records();
        records.claims_in_flight += 1;
        records.most_claims_in_flight = records.most_claims_in_flight.max(records.claims_in_flight);
        Self(shared)
    }
}

impl Drop for ClaimInFlight<'_> {
    fn drop(&mut self) {
        self.0.records().claims_in_flight -= 1;
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.to_string();
    let _claim = path.ends_with("/jobs/start").then(|| ClaimInFlight::new(&shared));
    let body = to_bytes(body, BODY_MAX).await.unwrap_or_default().to_vec();
    let refusal = shared.records().refusal(&path);
    let answer = match refusal {
        Some(status) => Some((status, Vec::new())),
        None => forward(&shared, &head.method, &path, &head.headers, &body).await,
    };
    let slowness = shared.records().slowness(&path);
    tokio::time::sleep(slowness).await;
    // An app that is down answers nothing; the nearest that can be said over HTTP.
    let (status, answer) = answer.unwrap_or((StatusCode::BAD_GATEWAY, Vec::new()));
    let (status, answer) = if shared.records().loses(&path, status) {
        (StatusCode::GATEWAY_TIMEOUT, Vec::new())
    } else {
        (status, answer)
    };
    shared.records().exchanges.push(Exchange {
        method: head.method,
        path,
        request: body,
        status,
        answer: answer.clone(),
        answered: SystemTime::now(),
    });
    (status, [(CONTENT_TYPE, "application/json")], Body::from(answer)).into_response()
}

async fn forward(
    shared: &Shared,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<(StatusCode, Vec<u8>)> {
    let mut request = shared.http.request(method.clone(), format!("{}{path}", shared.app));
    for name in [AUTHORIZATION, CONTENT_TYPE] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let answer = request.body(body.to_vec()).send().await.ok()?;
    let status = answer.status();
    Some((status, answer.bytes().await.ok()?.to_vec()))
}
