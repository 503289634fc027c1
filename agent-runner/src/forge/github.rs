//! GitHub and GitHub Enterprise, by their REST API; the draft state of a pull request can be changed
//! by GraphQL alone.

mod answer;
mod review;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::http::{ApiClient, Repeat, parse};
use super::{
    Forge, ForgeError, ForgeKind, PullRequest, PullRequestDraft, Readiness, no_such_label,
    not_asked,
};
use crate::git::{BranchName, RepoUrl};
use crate::token::TokenSource;

/// The version of the REST API that the answers are read as.
const API_VERSION: &str = "2022-11-28";

/// A repository on GitHub.
#[derive(Debug)]
pub(crate) struct GitHub {
    api: ApiClient,
    owner: String,
    name: String,
}

impl GitHub {
    /// The repository at `repo`; `api` is the base of the REST API where it is not the usual one:
    /// `https://api.github.com` for github.com, else `/api/v3` on the repository's host. `cancel` is
    /// cancelled when the run is to end.
    ///
    /// # Errors
    /// [`ForgeError::Misconfigured`].
    pub(super) fn new(
        repo: &RepoUrl,
        api: Option<&Url>,
        token: TokenSource,
        cancel: CancellationToken,
    ) -> Result<Self, ForgeError> {
        let base = ForgeKind::GitHub.api(repo, api)?;
        let (owner, name) = ForgeKind::owner_and_name(repo)?;
        let api = ApiClient::new(base, headers(), token, cancel)?;
        Ok(Self { api, owner, name })
    }

    /// An address below the repository's.
    fn url(&self, below: &[&str]) -> Url {
        let repository = ["repos", self.owner.as_str(), self.name.as_str()];
        self.api.url(repository.into_iter().chain(below.iter().copied()))
    }

    fn pull(&self, number: u64, below: &[&str]) -> Url {
        let number = number.to_string();
        let below: Vec<_> = ["pulls", number.as_str()].iter().chain(below).copied().collect();
        self.url(&below)
    }

    /// The GraphQL API is beside the REST API of an Enterprise server, else below it.
    fn graphql(&self) -> Url {
        let mut url = self.api.base().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
            if self.api.base().path().trim_end_matches('/').ends_with("/v3") {
                path.pop();
            }
            path.push("graphql");
        }
        url
    }

    async fn has_label(&self, label: &str) -> Result<bool, ForgeError> {
        match self.api.get("looking for a label", self.url(&["labels", label])).await {
            Ok(_) => Ok(true),
            Err(ForgeError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Forge for GitHub {
    async fn find_open(
        &self,
        head: &BranchName,
        base: &BranchName,
    ) -> Result<Option<PullRequest>, ForgeError> {
        let attempted = "looking for an open pull request";
        let mut url = self.url(&["pulls"]);
        url.query_pairs_mut()
            .append_pair("head", &format!("{}:{head}", self.owner))
            .append_pair("state", "open")
            .append_pair("per_page", "100");
        let found = self.api.get_all(attempted, url).await?;
        answer::first_between(attempted, found, head, base)
    }

    async fn create(&self, draft: &PullRequestDraft) -> Result<PullRequest, ForgeError> {
        let attempted = "opening a pull request";
        let mut body = json!({
            "title": draft.title(),
            "body": draft.body(),
            "head": draft.head.as_str(),
            "base": draft.base.as_str(),
        });
        if draft.readiness.is_draft() {
            body["draft"] = json!(true);
        }
        let url = self.url(&["pulls"]);
        match self.api.send(attempted, Method::POST, url, &body, Repeat::Safe).await {
            Ok(created) => answer::pull_request(attempted, created),
            // An earlier request of ours may have arrived though its answer was lost.
            Err(error) if answer::says_it_exists(&error) => {
                self.find_open(&draft.head, &draft.base).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    async fn update_body(&self, number: u64, body: &str) -> Result<PullRequest, ForgeError> {
        let attempted = "updating the pull request";
        let body = json!({ "body": body });
        let url = self.pull(number, &[]);
        let updated = self.api.send(attempted, Method::PATCH, url, &body, Repeat::Safe).await?;
        answer::pull_request(attempted, updated)
    }

    async fn set_readiness(&self, number: u64, readiness: Readiness) -> Result<(), ForgeError> {
        let attempted = "changing the draft state of the pull request";
        let read = self.api.get(attempted, self.pull(number, &[])).await?;
        let id = parse::<answer::Node>(attempted, read)?.node_id;
        let mutation = match readiness {
            Readiness::Ready => "markPullRequestReadyForReview",
            Readiness::Draft | Readiness::DraftUntilChecksPass => "convertPullRequestToDraft",
        };
        let query = format!(
            "mutation($id: ID!) {{ {mutation}(input: {{pullRequestId: $id}}) \
             {{ pullRequest {{ isDraft }} }} }}"
        );
        let body = json!({"query": query, "variables": {"id": id}});
        let url = self.graphql();
        self.api.send(attempted, Method::POST, url, &body, Repeat::Safe).await?;
        Ok(())
    }

    async fn read(&self, number: u64) -> Result<PullRequest, ForgeError> {
        let attempted = "reading the pull request back";
        answer::pull_request(attempted, self.api.get(attempted, self.pull(number, &[])).await?)
    }

    /// GitHub makes labels that it does not know; so they are looked for before.
    async fn add_labels(&self, number: u64, labels: &[String]) -> Result<Vec<String>, ForgeError> {
        let (mut known, mut missing) = (Vec::new(), Vec::new());
        for label in labels {
            match self.has_label(label).await? {
                true => known.push(label),
                false => missing.push(no_such_label(label)),
            }
        }
        if !known.is_empty() {
            let url = self.url(&["issues", &number.to_string(), "labels"]);
            let body = json!({ "labels": known });
            self.api.send("adding labels", Method::POST, url, &body, Repeat::Safe).await?;
        }
        Ok(missing)
    }

    /// One request for each: GitHub refuses all for one that cannot be asked.
    async fn request_reviews(
        &self,
        number: u64,
        reviewers: &[String],
    ) -> Result<Vec<String>, ForgeError> {
        let mut missing = Vec::new();
        for reviewer in reviewers {
            let body = match reviewer.trim_start_matches('@').rsplit_once('/') {
                Some((_, team)) => json!({ "team_reviewers": [team] }),
                None => json!({ "reviewers": [reviewer.trim_start_matches('@')] }),
            };
            let url = self.pull(number, &["requested_reviewers"]);
            let asked =
                self.api.send("asking for a review", Method::POST, url, &body, Repeat::Safe).await;
            if let Err(error) = asked {
                missing.push(not_asked(reviewer, &error));
            }
        }
        Ok(missing)
    }
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
    headers.insert("x-github-api-version", HeaderValue::from_static(API_VERSION));
    headers
}

#[cfg(test)]
mod tests;
