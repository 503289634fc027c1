//! Requests to a forge's REST API: what all forges have in common.
//!
//! Invariants: the token is in a header and goes to no other origin than the API's, whatever a
//! redirect or a link says. A cancelled run begins no request any more that changes something. Each
//! answer has an end in time and size.

mod answer;
mod limit;
mod page;
mod text;

use std::time::Duration;

use api_client::Secret;
use api_client::http::{describe, http_client};
use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::ForgeError;
use crate::token::TokenSource;

pub(super) use self::answer::{parse, parse_each};
use self::page::{next_page, query_of_page, total};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes: a hundred comments, or ten pull requests with the
/// longest bodies.
const ANSWER_MAX: usize = 8 << 20;
/// The longest time that the forge's wish for a pause is followed; beyond it the run gives up.
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// How often a request is made in all.
const TRIES: usize = 5;
/// How often one request may be sent elsewhere: repositories are renamed.
const REDIRECTS: usize = 3;
/// The most pages that are read of one list.
const PAGES: usize = 50;

/// A forge's REST API, with the token for it.
#[derive(Debug)]
pub(super) struct ApiClient {
    http: reqwest::Client,
    base: Url,
    token: TokenSource,
    delays: ExponentialBuilder,
    cancel: CancellationToken,
}

/// Whether a request may be made again when it is not known what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Made twice it is as good as made once.
    Safe,
    /// It may have been carried out, and would be twice.
    Harmful,
}

/// One request.
#[derive(Debug)]
struct Call<'c> {
    attempted: &'static str,
    method: Method,
    url: Url,
    body: Option<&'c Value>,
}

/// What a successful answer holds.
#[derive(Debug)]
struct Page {
    value: Value,
    /// The query of the list's next page.
    next: Option<String>,
    /// How many entries the list has in all, where the forge says that.
    total: Option<usize>,
}

impl ApiClient {
    /// The API at `base`; each request carries `headers`. `cancel` is cancelled when the run is to end.
    ///
    /// # Errors
    /// [`ForgeError::Misconfigured`].
    pub(super) fn new(
        base: Url,
        headers: HeaderMap,
        token: TokenSource,
        cancel: CancellationToken,
    ) -> Result<Self, ForgeError> {
        if base.cannot_be_a_base() {
            let why = "FORGE_API_URL must be an http or https URL";
            return Err(ForgeError::Misconfigured(why.to_owned()));
        }
        // A token that no header can carry is found before any work is done.
        authorization(&token.current())?;
        let http = http_client(concat!("agent-runner/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| ForgeError::Misconfigured(describe(error)))?;
        let delays = ExponentialBuilder::new()
            .with_min_delay(Duration::from_secs(1))
            .with_max_delay(Duration::from_secs(30))
            .with_max_times(TRIES - 1)
            .with_jitter();
        Ok(Self { http, base, token, delays, cancel })
    }

    /// The same without long pauses between the tries.
    #[cfg(test)]
    pub(super) fn in_a_hurry(mut self) -> Self {
        self.delays = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(1))
            .with_max_times(TRIES - 1);
        self
    }

    /// Where the API is.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// An address below the API's; what a segment holds is encoded, slashes included.
    pub(super) fn url<'s>(&self, segments: impl IntoIterator<Item = &'s str>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Reads.
    pub(super) async fn get(&self, attempted: &'static str, url: Url) -> Result<Value, ForgeError> {
        let call = Call { attempted, method: Method::GET, url, body: None };
        Ok(self.request(&call, Repeat::Safe).await?.value)
    }

    /// Whether there is something at an address.
    ///
    /// # Errors
    /// See [`ForgeError`]; that there is nothing is none.
    pub(super) async fn exists(
        &self,
        attempted: &'static str,
        url: Url,
    ) -> Result<bool, ForgeError> {
        match self.get(attempted, url).await {
            Ok(_) => Ok(true),
            Err(ForgeError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads a list with all its pages.
    ///
    /// # Errors
    /// As every request; [`ForgeError::Malformed`] for a list that does not end.
    pub(super) async fn get_all(
        &self,
        attempted: &'static str,
        url: Url,
    ) -> Result<Vec<Value>, ForgeError> {
        self.pages(attempted, url, |value| value).await
    }

    /// The same of a list that is a field of each answer.
    pub(super) async fn get_all_in(
        &self,
        attempted: &'static str,
        url: Url,
        field: &str,
    ) -> Result<Vec<Value>, ForgeError> {
        self.pages(attempted, url, |mut value| {
            value.get_mut(field).map(Value::take).unwrap_or_default()
        })
        .await
    }

    async fn pages(
        &self,
        attempted: &'static str,
        url: Url,
        list_of: impl Fn(Value) -> Value,
    ) -> Result<Vec<Value>, ForgeError> {
        let mut call = Call { attempted, method: Method::GET, url, body: None };
        let mut all = Vec::new();
        for number in 1..=PAGES {
            let page = self.request(&call, Repeat::Safe).await?;
            let Value::Array(entries) = list_of(page.value) else {
                let reason = "it should be a list".to_owned();
                return Err(ForgeError::Malformed { attempted, reason });
            };
            let count = entries.len();
            all.extend(entries);
            let more = page.total.is_some_and(|total| count > 0 && all.len() < total);
            let counted = more.then(|| query_of_page(&call.url, number + 1)).flatten();
            match page.next.or(counted) {
                Some(query) => call.url.set_query(Some(&query)),
                None => return Ok(all),
            }
        }
        let reason = format!("the list has more than {PAGES} pages");
        Err(ForgeError::Malformed { attempted, reason })
    }

    /// Changes something, by a request of any method.
    pub(super) async fn send(
        &self,
        attempted: &'static str,
        method: Method,
        url: Url,
        body: &Value,
        repeat: Repeat,
    ) -> Result<Value, ForgeError> {
        let call = Call { attempted, method, url, body: Some(body) };
        Ok(self.request(&call, repeat).await?.value)
    }

    /// Makes a request until it succeeds, fails for good, was made [`TRIES`] times, or the run is to
    /// end.
    async fn request(&self, call: &Call<'_>, repeat: Repeat) -> Result<Page, ForgeError> {
        let cancel = self.cancel.clone();
        let once = || self.once(call);
        once.retry(self.delays.build())
            .sleep(move |delay| {
                let cancel = cancel.clone();
                async move { cancel.run_until_cancelled(sleep(delay)).await.unwrap_or_default() }
            })
            .when(|error| worth_waiting_for(error, repeat) && !self.cancel.is_cancelled())
            .adjust(|error, delay| delay.map(|delay| delay.max(error.pause())))
            .notify(|error, delay| {
                tracing::warn!(%error, delay_ms = delay.as_millis(), "trying again");
            })
            .await
    }

    async fn once(&self, call: &Call<'_>) -> Result<Page, ForgeError> {
        let attempted = call.attempted;
        if call.method != Method::GET && self.cancel.is_cancelled() {
            return Err(ForgeError::Cancelled { attempted });
        }
        let (response, url) = self.follow(call).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = read(attempted, response).await?;
        let value = answer::read(attempted, status, &headers, &text)?;
        Ok(Page { value, next: next_page(&headers, &url), total: total(&headers) })
    }

    /// Sends the request, also where the forge says that the repository is now: with the same method
    /// and body, and within the same origin.
    async fn follow(&self, call: &Call<'_>) -> Result<(Response, Url), ForgeError> {
        let attempted = call.attempted;
        let unreachable = |error| ForgeError::Unreachable { attempted, reason: describe(error) };
        let mut url = call.url.clone();
        for _ in 0..=REDIRECTS {
            let authorization = authorization(&self.token.current())?;
            let request = self.http.request(call.method.clone(), url.clone());
            let request = request.header(AUTHORIZATION, authorization);
            let request = match call.body {
                Some(body) => request.json(body),
                None => request,
            };
            let response = request.send().await.map_err(unreachable)?;
            let Some(target) = redirect(&response, &url) else {
                return Ok((response, url));
            };
            if target.origin() != url.origin() {
                return Err(elsewhere(attempted, response.status(), &target));
            }
            url = target;
        }
        let reason = format!("it redirects more than {REDIRECTS} times");
        Err(ForgeError::Malformed { attempted, reason })
    }
}

/// Where the answer sends us, if it does.
fn redirect(response: &Response, url: &Url) -> Option<Url> {
    let moved = [301, 302, 307, 308].contains(&response.status().as_u16());
    let target = response.headers().get(LOCATION).filter(|_| moved)?.to_str().ok()?;
    url.join(target).ok()
}

fn elsewhere(attempted: &'static str, status: StatusCode, target: &Url) -> ForgeError {
    let place = target.origin().ascii_serialization();
    let message = format!(
        "it redirects to {place}, to which the token is not sent; correct REPO_URL or FORGE_API_URL"
    );
    ForgeError::Refused { attempted, status: status.as_u16(), message }
}

async fn read(attempted: &'static str, mut response: Response) -> Result<Vec<u8>, ForgeError> {
    let unreachable = |error| ForgeError::Unreachable { attempted, reason: describe(error) };
    let mut text = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        if text.len() + piece.len() > ANSWER_MAX {
            let reason = format!("it is longer than {ANSWER_MAX} bytes");
            return Err(ForgeError::Malformed { attempted, reason });
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}

fn authorization(token: &Secret) -> Result<HeaderValue, ForgeError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose().trim()))
        .map_err(|_| ForgeError::Misconfigured("GITHUB_TOKEN is not a token".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn worth_waiting_for(error: &ForgeError, repeat: Repeat) -> bool {
    let pause = error.pause();
    match error {
        // It was not carried out.
        ForgeError::RateLimited { .. } => pause <= PAUSE_MAX,
        error => error.is_transient() && repeat == Repeat::Safe,
    }
}

#[cfg(test)]
mod tests;
