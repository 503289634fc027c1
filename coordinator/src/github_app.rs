//! The GitHub App in the place of a long-lived token: for each job it makes a token that ends after an
//! hour and is good for the job's repository alone.
//!
//! The private key stays in this process; what is sent is a statement signed with it. The address is
//! the operator's (`FORGE_API_URL`), never one that the app sends.

mod answer;
mod error;
mod key;
mod repository;

use std::num::NonZeroU64;
use std::time::Duration;

use api_client::http::{Network, describe};
use api_client::{Secret, delays};
use backon::{BackoffBuilder, Retryable};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, redirect};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use url::Url;

use crate::clock::now;
use crate::config::GithubAppConfig;

pub(crate) use answer::seconds_of;
use answer::{Installation, Told, read};
pub(crate) use error::AppError;
pub(crate) use key::AppKey;
pub(crate) use repository::Repository;

/// Name of this program and its version, which the forge wants to know.
const USER_AGENT: &str = concat!("terarchitect-coordinator/", env!("CARGO_PKG_VERSION"));
/// The version of the REST API that the answers are read as.
const API_VERSION: &str = "2022-11-28";
/// The public forge's REST API.
pub(crate) const PUBLIC_API: &str = "https://api.github.com";
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes: an App's own page is the longest.
const ANSWER_MAX: usize = 1 << 20;
/// How often a request for a token is made in all: for about two minutes.
const TRIES: usize = 8;
/// The longest pause that the forge can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(120);

/// A token is replaced when this much of its life is over: three quarters …
const USED_UP: f64 = 0.75;
/// … and never later than this, which is three quarters of the hour that GitHub gives. The two clocks
/// may differ by some minutes.
const LATEST_REFRESH: Duration = Duration::from_secs(45 * 60);

/// The App, ready to ask the forge.
#[derive(Debug)]
pub(crate) struct GitHubApp {
    id: NonZeroU64,
    installation: Option<NonZeroU64>,
    key: AppKey,
    http: reqwest::Client,
    api: Url,
}

/// A token of the App.
#[derive(Clone, Debug)]
pub(crate) struct Minted {
    /// The token.
    pub(crate) token: Secret,
    /// How long after its making it is to be replaced.
    pub(crate) refresh_after: Duration,
}

impl GitHubApp {
    /// The App of these settings; `api` is the base URL of the forge's REST API, where it is not the
    /// public one.
    pub(crate) fn new(
        config: &GithubAppConfig,
        network: &Network,
        api: Option<Url>,
    ) -> Result<Self, AppError> {
        let public = || Url::parse(PUBLIC_API).map_err(|e| AppError::Address(e.to_string()));
        let http = network.anonymous().client(USER_AGENT).and_then(|builder| {
            // Repositories are renamed: GitHub then answers with their new address.
            builder.timeout(TIMEOUT).redirect(redirect::Policy::limited(3)).build()
        });
        let http = http.map_err(|error| AppError::Address(describe(error)))?;
        Ok(Self {
            id: config.id,
            installation: config.installation,
            key: AppKey::from_pem(config.key.expose()).map_err(AppError::Key)?,
            http,
            api: api.map_or_else(public, Ok)?,
        })
    }

    /// Whether the forge knows the App by its key. One try.
    pub(crate) async fn verify(&self) -> Result<(), AppError> {
        let attempted = "asking for the GitHub App";
        match self.once::<IgnoredAny>(attempted, Method::GET, &["app"], None).await? {
            Ok(_app) => Ok(()),
            Err(message) => Err(AppError::Unauthorised { message }),
        }
    }

    /// The key for what the agents of a repository note where others can write.
    pub(crate) fn review_key(&self, repository: &Repository) -> Result<Secret, AppError> {
        // GitHub tells no upper case from lower in it.
        let repository = repository.to_string().to_lowercase();
        self.key.derived(&format!("terarchitect review key\n{repository}")).map_err(AppError::Key)
    }

    /// Makes a token for one repository. What may succeed later is tried again for about two minutes.
    pub(crate) async fn mint(&self, repository: &Repository) -> Result<Minted, AppError> {
        (|| self.mint_once(repository))
            .retry(delays(TRIES).build())
            .when(AppError::is_transient)
            .adjust(|error, delay| {
                let asked = error.retry_after().map(|asked| asked.min(PAUSE_MAX));
                delay.map(|delay| asked.map_or(delay, |asked| delay.max(asked)))
            })
            .notify(|error, delay| {
                tracing::warn!(%error, delay_secs = delay.as_secs(), "no token yet: trying again");
            })
            .await
    }

    /// The same in one try.
    pub(crate) async fn mint_once(&self, repository: &Repository) -> Result<Minted, AppError> {
        let not_installed = |message: String| {
            let repository = repository.clone();
            AppError::NotInstalled { repository, message }
        };
        let installation = match self.installation {
            Some(id) => id.to_string(),
            None => {
                let attempted = "looking for the GitHub App's installation";
                let path = ["repos", repository.owner(), repository.name(), "installation"];
                let found = self.once::<Installation>(attempted, Method::GET, &path, None).await?;
                found.map_err(not_installed)?.id.to_string()
            }
        };
        let attempted = "making a token of the GitHub App";
        let path = ["app", "installations", &installation, "access_tokens"];
        let made =
            self.once::<Told>(attempted, Method::POST, &path, Some(wish(repository))).await?;
        let Told { token, expires_at } = made.map_err(|message| {
            if message.contains("permissions") {
                return AppError::Refused { attempted, status: 422, message };
            }
            not_installed(message)
        })?;
        if token.is_blank() {
            return Err(AppError::Malformed { attempted, reason: "it has no token".to_owned() });
        }
        Ok(Minted { token, refresh_after: refresh_after(&expires_at, now()) })
    }

    /// One request; an answer that there is no such thing is left to the caller.
    async fn once<T: DeserializeOwned>(
        &self,
        attempted: &'static str,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> Result<Result<T, String>, AppError> {
        let unreachable = |error| {
            let reason = describe(error);
            AppError::Unreachable { attempted, reason, retry_after: None }
        };
        let mut request = self
            .http
            .request(method, self.url(path)?)
            .header(AUTHORIZATION, self.authorization()?)
            .header(ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", API_VERSION);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        let mut text = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if text.len() + piece.len() > ANSWER_MAX {
                let reason = format!("it is longer than {ANSWER_MAX} bytes");
                return Err(AppError::Malformed { attempted, reason });
            }
            text.extend_from_slice(&piece);
        }
        read(attempted, response.status(), response.headers(), &text)
    }

    fn url(&self, path: &[&str]) -> Result<Url, AppError> {
        let mut url = self.api.clone();
        url.path_segments_mut()
            .map_err(|()| AppError::Address("it is no http or https URL".to_owned()))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }

    fn authorization(&self) -> Result<HeaderValue, AppError> {
        let statement = self.key.statement(self.id, now()).map_err(AppError::Key)?;
        let value = HeaderValue::from_str(&format!("Bearer {}", statement.expose()));
        let mut value = value.map_err(|error| AppError::Address(error.to_string()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// What a token is asked for: this repository, and what an agent does there.
fn wish(repository: &Repository) -> Value {
    json!({
        "repositories": [repository.name()],
        "permissions": {
            "contents": "write",
            "issues": "read",
            "metadata": "read",
            "pull_requests": "write",
        },
    })
}

/// When to replace a token that was made now.
fn refresh_after(expires_at: &str, now: u64) -> Duration {
    let left = seconds_of(expires_at).and_then(|end| end.checked_sub(now));
    let after = left.map_or(LATEST_REFRESH, |left| Duration::from_secs(left).mul_f64(USED_UP));
    after.clamp(Duration::from_secs(1), LATEST_REFRESH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_replaced_well_before_its_end_and_never_after_three_quarters_of_an_hour() {
        let secs = |expires_at, now| refresh_after(expires_at, now).as_secs();
        let ten = 1_795_255_200;
        assert_eq!(secs("2026-11-21T11:00:00Z", ten), 2_700);
        assert_eq!(secs("2026-11-21T10:00:20Z", ten), 15);
        // A clock of ours that is behind, one that is far ahead, and a time that cannot be read.
        assert_eq!(secs("2026-11-21T11:00:00Z", ten - 540), 2_700);
        assert_eq!(secs("2026-11-21T09:00:00Z", ten), 2_700);
        assert_eq!(secs("soon", ten), 2_700);
    }
}
