//! Gitea and Forgejo, by their REST API.
//!
//! Drafts are told by the beginning of the title, which an installation may have set otherwise; labels
//! are named by number.

mod answer;
mod review;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::http::{ApiClient, Repeat, parse, parse_each};
use super::pull_request::DraftMark;
use super::{
    Forge, ForgeError, ForgeKind, PullRequest, PullRequestDraft, Readiness, no_such_label,
    not_asked,
};
use crate::git::{BranchName, RepoUrl};
use crate::token::TokenSource;

/// How the titles of drafts begin.
const MARK: DraftMark = DraftMark { written: "WIP: ", known: &["wip:", "[wip]"] };
/// The entries of a page: Gitea's usual limit.
const PAGE: &str = "50";

/// A repository on Gitea or Forgejo.
#[derive(Debug)]
pub(crate) struct Gitea {
    api: ApiClient,
    owner: String,
    name: String,
}

impl Gitea {
    /// The repository at `repo`; `api` is the base of the REST API where it is not `/api/v1` on the
    /// repository's host. `cancel` is cancelled when the run is to end.
    ///
    /// # Errors
    /// [`ForgeError::Misconfigured`].
    pub(super) fn new(
        repo: &RepoUrl,
        api: Option<&Url>,
        token: TokenSource,
        cancel: CancellationToken,
    ) -> Result<Self, ForgeError> {
        let base = ForgeKind::Gitea.api(repo, api)?;
        let (owner, name) = ForgeKind::owner_and_name(repo)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(Self { api: ApiClient::new(base, headers, token, cancel)?, owner, name })
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

    /// The labels of the repository and of the organisation that owns it.
    async fn labels(&self) -> Result<Vec<answer::Label>, ForgeError> {
        let attempted = "reading the labels";
        let of_repository = paged(self.url(&["labels"]));
        let mut labels = self.api.get_all(attempted, of_repository).await?;
        let of_owner = paged(self.api.url(["orgs", self.owner.as_str(), "labels"]));
        match self.api.get_all(attempted, of_owner).await {
            Ok(more) => labels.extend(more),
            // The owner is a person, or an organisation that the token may not ask about.
            Err(ForgeError::NotFound { .. } | ForgeError::Unauthorised { .. }) => {}
            Err(error) => return Err(error),
        }
        parse_each(attempted, labels)
    }
}

impl Forge for Gitea {
    /// Gitea has no filter for the branch, so that all open ones are looked through.
    async fn find_open(
        &self,
        head: &BranchName,
        base: &BranchName,
    ) -> Result<Option<PullRequest>, ForgeError> {
        let attempted = "looking for an open pull request";
        let mut url = paged(self.url(&["pulls"]));
        url.query_pairs_mut().append_pair("state", "open").append_pair("sort", "recentupdate");
        let found = self.api.get_all(attempted, url).await?;
        answer::first_between(attempted, found, head, base)
    }

    async fn create(&self, draft: &PullRequestDraft) -> Result<PullRequest, ForgeError> {
        let attempted = "opening a pull request";
        let body = json!({
            "title": draft.title_with(MARK),
            "body": draft.body(),
            "head": draft.head.as_str(),
            "base": draft.base.as_str(),
        });
        let url = self.url(&["pulls"]);
        match self.api.send(attempted, Method::POST, url, &body, Repeat::Safe).await {
            Ok(created) => answer::pull_request(attempted, created),
            // An earlier request of ours may have arrived though its answer was lost.
            Err(error @ ForgeError::Refused { status: 409, .. }) => {
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
        let title = parse::<answer::Titled>(attempted, read)?.title;
        let body = json!({ "title": MARK.put_on(&title, readiness) });
        let url = self.pull(number, &[]);
        self.api.send(attempted, Method::PATCH, url, &body, Repeat::Safe).await?;
        Ok(())
    }

    async fn read(&self, number: u64) -> Result<PullRequest, ForgeError> {
        let attempted = "reading the pull request back";
        answer::pull_request(attempted, self.api.get(attempted, self.pull(number, &[])).await?)
    }

    async fn add_labels(&self, number: u64, labels: &[String]) -> Result<Vec<String>, ForgeError> {
        let known = self.labels().await?;
        let id_of = |label: &String| known.iter().find(|known| known.name == *label).map(|l| l.id);
        let missing = labels.iter().filter(|label| id_of(label).is_none());
        let missing = missing.map(|label| no_such_label(label)).collect();
        let ids: Vec<u64> = labels.iter().filter_map(id_of).collect();
        if !ids.is_empty() {
            let url = self.url(&["issues", &number.to_string(), "labels"]);
            let body = json!({ "labels": ids });
            self.api.send("adding labels", Method::POST, url, &body, Repeat::Safe).await?;
        }
        Ok(missing)
    }

    /// One request for each: Gitea refuses all for one that cannot be asked.
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

fn paged(mut url: Url) -> Url {
    url.query_pairs_mut().append_pair("limit", PAGE);
    url
}

#[cfg(test)]
mod tests;
