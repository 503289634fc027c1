//! A repository below `/repos/OWNER/NAME` of a REST API: what Gitea's API has as GitHub's has it.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::http::{ApiClient, Repeat};
use super::{ForgeError, ForgeKind, not_asked};
use crate::git::RepoUrl;
use crate::token::TokenSource;

/// A repository, its pull requests among them.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) api: ApiClient,
    pub(super) owner: String,
    pub(super) name: String,
}

impl Repository {
    /// The repository at `repo`; `api` is the base of the REST API where it is not the usual one of
    /// this kind of forge.
    ///
    /// # Errors
    /// [`ForgeError::Misconfigured`].
    pub(super) fn new(
        kind: ForgeKind,
        repo: &RepoUrl,
        api: Option<&Url>,
        headers: HeaderMap,
        token: TokenSource,
        cancel: CancellationToken,
    ) -> Result<Self, ForgeError> {
        let base = kind.api(repo, api)?;
        let (owner, name) = ForgeKind::owner_and_name(repo)?;
        Ok(Self { api: ApiClient::new(base, headers, token, cancel)?, owner, name })
    }

    /// An address below the repository's.
    pub(super) fn url(&self, below: &[&str]) -> Url {
        let repository = ["repos", self.owner.as_str(), self.name.as_str()];
        self.api.url(repository.into_iter().chain(below.iter().copied()))
    }

    /// An address below that of a pull request.
    pub(super) fn pull(&self, number: u64, below: &[&str]) -> Url {
        let number = number.to_string();
        let below: Vec<_> = ["pulls", number.as_str()].iter().chain(below).copied().collect();
        self.url(&below)
    }

    /// A pull request, as it is now.
    pub(super) async fn read(
        &self,
        attempted: &'static str,
        number: u64,
    ) -> Result<Value, ForgeError> {
        self.api.get(attempted, self.pull(number, &[])).await
    }

    /// Changes these fields of a pull request.
    pub(super) async fn edit(
        &self,
        attempted: &'static str,
        number: u64,
        fields: &Value,
    ) -> Result<Value, ForgeError> {
        let url = self.pull(number, &[]);
        self.api.send(attempted, Method::PATCH, url, fields, Repeat::Safe).await
    }

    /// Adds labels to a pull request, named as this forge names them.
    pub(super) async fn add_labels(&self, number: u64, labels: Value) -> Result<(), ForgeError> {
        let url = self.url(&["issues", &number.to_string(), "labels"]);
        let body = json!({ "labels": labels });
        self.api.send("adding labels", Method::POST, url, &body, Repeat::Safe).await?;
        Ok(())
    }

    /// Asks for reviews; returns one line for each that could not be asked for. One request for each:
    /// all are refused for one that cannot be asked.
    pub(super) async fn request_reviews(&self, number: u64, reviewers: &[String]) -> Vec<String> {
        let attempted = "asking for a review";
        let mut missing = Vec::new();
        for reviewer in reviewers {
            let name = reviewer.trim_start_matches('@');
            let body = match name.rsplit_once('/') {
                Some((_, team)) => json!({ "team_reviewers": [team] }),
                None => json!({ "reviewers": [name] }),
            };
            let url = self.pull(number, &["requested_reviewers"]);
            let asked = self.api.send(attempted, Method::POST, url, &body, Repeat::Safe).await;
            if let Err(error) = asked {
                missing.push(not_asked(reviewer, &error));
            }
        }
        missing
    }

    /// The login that belongs to the token, where it belongs to anybody.
    pub(super) async fn own_login(&self) -> Result<Option<String>, ForgeError> {
        own_login(&self.api).await
    }

    /// Comments on a pull request as a whole.
    pub(super) async fn comment(&self, number: u64, body: &str) -> Result<(), ForgeError> {
        let url = self.url(&["issues", &number.to_string(), "comments"]);
        let body = json!({ "body": body });
        self.api.send("commenting", Method::POST, url, &body, Repeat::Harmful).await?;
        Ok(())
    }
}

/// The login that belongs to the token of an API whose `/user` tells it. A token of an App or of a job is
/// nobody's, and may not ask.
pub(super) async fn own_login(api: &ApiClient) -> Result<Option<String>, ForgeError> {
    let read = api.get("asking whose the token is", api.url(["user"])).await;
    let user = match read {
        Err(ForgeError::Unauthorised { .. } | ForgeError::NotFound { .. }) => return Ok(None),
        read => read?,
    };
    let name = ["login", "username"].iter().find_map(|name| user[*name].as_str());
    Ok(name.map(str::to_owned))
}
