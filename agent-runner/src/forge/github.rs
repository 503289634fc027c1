//! GitHub and GitHub Enterprise, by their REST API.

mod answer;

use std::time::Duration;

use api_client::Secret;
use api_client::http::{describe, http_client};
use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::git::{BranchName, RepoUrl};
use crate::token::TokenSource;

use super::{BODY_MAX_CHARS, Forge, ForgeError, PullRequest, PullRequestDraft, cut};

/// The version of the REST API that the answers are read as.
const API_VERSION: &str = "2022-11-28";
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes: ten pull requests with the longest bodies.
const ANSWER_MAX: usize = 8 << 20;
/// The longest time that the forge's wish for a pause is followed; beyond it the run gives up.
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// How often a request is made in all.
const TRIES: usize = 5;

/// A repository on GitHub.
#[derive(Debug)]
pub(crate) struct GitHub {
    http: reqwest::Client,
    /// `…/repos/{owner}/{name}/pulls`
    pulls: Url,
    owner: String,
    token: TokenSource,
    delays: ExponentialBuilder,
    cancel: CancellationToken,
}

impl GitHub {
    /// The repository at `repo`; `api` is the base of the REST API where it is not the usual one:
    /// `https://api.github.com` for github.com, else `/api/v3` on the repository's host. `cancel` is
    /// cancelled when the run is to end.
    ///
    /// # Errors
    /// [`ForgeError::Misconfigured`].
    pub(crate) fn new(
        repo: &RepoUrl,
        api: Option<&Url>,
        token: TokenSource,
        cancel: CancellationToken,
    ) -> Result<Self, ForgeError> {
        let misconfigured = |why: &str| ForgeError::Misconfigured(why.to_owned());
        let (owner, name) = repo.owner_and_name().ok_or_else(|| {
            misconfigured("REPO_URL must end with /owner/name for a pull request to be opened")
        })?;
        let mut pulls = match api {
            Some(api) => api.clone(),
            None => usual_api(repo)
                .ok_or_else(|| misconfigured("no API is known for REPO_URL; set FORGE_API_URL"))?,
        };
        pulls
            .path_segments_mut()
            .map_err(|()| misconfigured("FORGE_API_URL must be an http or https URL"))?
            .pop_if_empty()
            .extend(["repos", owner, name, "pulls"]);
        // A token that no header can carry is found before any work is done.
        authorization(&token.current())?;
        let http = http_client(concat!("agent-runner/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers())
            .timeout(TIMEOUT)
            // Repositories are renamed: GitHub then answers with their new address.
            .redirect(reqwest::redirect::Policy::limited(3))
            .build()
            .map_err(|error| ForgeError::Misconfigured(describe(error)))?;
        let delays = ExponentialBuilder::new()
            .with_min_delay(Duration::from_secs(1))
            .with_max_delay(Duration::from_secs(30))
            .with_max_times(TRIES - 1)
            .with_jitter();
        Ok(Self { http, pulls, owner: owner.to_owned(), token, delays, cancel })
    }

    fn pull(&self, number: u64) -> Url {
        let mut url = self.pulls.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(&number.to_string());
        }
        url
    }

    /// Makes a request until it succeeds, fails for good, was made [`TRIES`] times, or the run is to
    /// end.
    async fn request(
        &self,
        attempted: &'static str,
        method: Method,
        url: Url,
        body: Option<Value>,
    ) -> Result<Value, ForgeError> {
        let cancel = self.cancel.clone();
        let once = || self.once(attempted, method.clone(), url.clone(), body.as_ref());
        once.retry(self.delays.build())
            .sleep(move |delay| {
                let cancel = cancel.clone();
                async move { cancel.run_until_cancelled(sleep(delay)).await.unwrap_or_default() }
            })
            .when(|error| worth_waiting_for(error) && !self.cancel.is_cancelled())
            .adjust(|error, delay| delay.map(|delay| delay.max(pause_of(error))))
            .notify(|error, delay| {
                tracing::warn!(%error, delay_ms = delay.as_millis(), "trying again");
            })
            .await
    }

    async fn once(
        &self,
        attempted: &'static str,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<Value, ForgeError> {
        if method != Method::GET && self.cancel.is_cancelled() {
            return Err(ForgeError::Cancelled { attempted });
        }
        let unreachable = |error| ForgeError::Unreachable { attempted, reason: describe(error) };
        let authorization = authorization(&self.token.current())?;
        let mut request = self.http.request(method, url).header(AUTHORIZATION, authorization);
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        let mut text = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if text.len() + piece.len() > ANSWER_MAX {
                let reason = format!("it is longer than {ANSWER_MAX} bytes");
                return Err(ForgeError::Malformed { attempted, reason });
            }
            text.extend_from_slice(&piece);
        }
        answer::read(attempted, response.status(), response.headers(), &text)
    }
}

impl Forge for GitHub {
    async fn find_open(&self, head: &BranchName) -> Result<Option<PullRequest>, ForgeError> {
        let attempted = "looking for an open pull request";
        let mut url = self.pulls.clone();
        url.query_pairs_mut()
            .append_pair("head", &format!("{}:{head}", self.owner))
            .append_pair("state", "open")
            .append_pair("per_page", "10");
        let found = self.request(attempted, Method::GET, url, None).await?;
        answer::first_with_head(attempted, &found, &self.owner, head)
    }

    async fn create(&self, draft: &PullRequestDraft) -> Result<PullRequest, ForgeError> {
        let attempted = "opening a pull request";
        let body = json!({
            "title": draft.title(),
            "body": draft.body(),
            "head": draft.head.as_str(),
            "base": draft.base.as_str(),
        });
        match self.request(attempted, Method::POST, self.pulls.clone(), Some(body)).await {
            Ok(created) => answer::pull_request(attempted, &created),
            // An earlier request of ours may have arrived though its answer was lost.
            Err(error) if answer::says_it_exists(&error) => {
                self.find_open(&draft.head).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    async fn update_body(&self, number: u64, body: &str) -> Result<PullRequest, ForgeError> {
        let attempted = "updating the pull request";
        let body = json!({ "body": cut(body, BODY_MAX_CHARS) });
        let updated = self.request(attempted, Method::PATCH, self.pull(number), Some(body)).await?;
        answer::pull_request(attempted, &updated)
    }

    async fn read(&self, number: u64) -> Result<PullRequest, ForgeError> {
        let attempted = "reading the pull request back";
        let read = self.request(attempted, Method::GET, self.pull(number), None).await?;
        answer::pull_request(attempted, &read)
    }
}

/// Where the REST API of a repository usually is.
fn usual_api(repo: &RepoUrl) -> Option<Url> {
    let base = match repo.host().as_str() {
        "github.com" | "www.github.com" => "https://api.github.com".to_owned(),
        host => format!("{}://{host}/api/v3", repo.scheme()),
    };
    Url::parse(&base).ok()
}

fn authorization(token: &Secret) -> Result<HeaderValue, ForgeError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose().trim()))
        .map_err(|_| ForgeError::Misconfigured("GITHUB_TOKEN is not a token".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
    headers.insert("x-github-api-version", HeaderValue::from_static(API_VERSION));
    headers
}

fn worth_waiting_for(error: &ForgeError) -> bool {
    error.is_transient() && pause_of(error) <= PAUSE_MAX
}

fn pause_of(error: &ForgeError) -> Duration {
    match error {
        ForgeError::RateLimited { retry_after, .. } => *retry_after,
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
