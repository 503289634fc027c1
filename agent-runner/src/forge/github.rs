//! GitHub and GitHub Enterprise, by their REST API; the draft state of a pull request can be changed
//! by GraphQL alone.

mod answer;
mod review;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::http::{Repeat, parse};
use super::repository::Repository;
use super::{
    Forge, ForgeError, ForgeKind, PullRequest, PullRequestDraft, Readiness, no_such_label,
};
use crate::git::{BranchName, RepoUrl};
use crate::token::TokenSource;

/// The version of the REST API that the answers are read as.
const API_VERSION: &str = "2022-11-28";

/// A repository on GitHub.
#[derive(Debug)]
pub(crate) struct GitHub {
    repository: Repository,
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
        let kind = ForgeKind::GitHub;
        let repository = Repository::new(kind, repo, api, headers(), token, cancel)?;
        Ok(Self { repository })
    }

    /// The GraphQL API is beside the REST API of an Enterprise server, else below it.
    fn graphql(&self) -> Url {
        let mut url = self.repository.api.base().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
            if self.repository.api.base().path().trim_end_matches('/').ends_with("/v3") {
                path.pop();
            }
            path.push("graphql");
        }
        url
    }
}

impl Forge for GitHub {
    async fn find_open(
        &self,
        head: &BranchName,
        base: &BranchName,
    ) -> Result<Option<PullRequest>, ForgeError> {
        let attempted = "looking for an open pull request";
        let mut url = self.repository.url(&["pulls"]);
        url.query_pairs_mut()
            .append_pair("head", &format!("{}:{head}", self.repository.owner))
            .append_pair("state", "open")
            .append_pair("per_page", "100");
        let found = self.repository.api.get_all(attempted, url).await?;
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
        let url = self.repository.url(&["pulls"]);
        match self.repository.api.send(attempted, Method::POST, url, &body, Repeat::Safe).await {
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
        let updated = self.repository.edit(attempted, number, &json!({ "body": body })).await?;
        answer::pull_request(attempted, updated)
    }

    async fn set_readiness(&self, number: u64, readiness: Readiness) -> Result<(), ForgeError> {
        let attempted = "changing the draft state of the pull request";
        let read = self.repository.read(attempted, number).await?;
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
        self.repository.api.send(attempted, Method::POST, url, &body, Repeat::Safe).await?;
        Ok(())
    }

    async fn read(&self, number: u64) -> Result<PullRequest, ForgeError> {
        let attempted = "reading the pull request back";
        answer::pull_request(attempted, self.repository.read(attempted, number).await?)
    }

    /// GitHub makes labels that it does not know; so they are looked for before.
    async fn add_labels(&self, number: u64, labels: &[String]) -> Result<Vec<String>, ForgeError> {
        let (mut known, mut missing) = (Vec::new(), Vec::new());
        for label in labels {
            let url = self.repository.url(&["labels", label]);
            match self.repository.api.exists("looking for a label", url).await? {
                true => known.push(label),
                false => missing.push(no_such_label(label)),
            }
        }
        if !known.is_empty() {
            self.repository.add_labels(number, json!(known)).await?;
        }
        Ok(missing)
    }

    async fn request_reviews(
        &self,
        number: u64,
        reviewers: &[String],
    ) -> Result<Vec<String>, ForgeError> {
        Ok(self.repository.request_reviews(number, reviewers).await)
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
