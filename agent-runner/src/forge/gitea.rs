//! Gitea and Forgejo, by their REST API.
//!
//! Drafts are told by the beginning of the title, which an installation may have set otherwise; labels
//! are named by number.

mod actions;
mod answer;
mod review;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::http::{Repeat, parse, parse_each};
use super::pull_request::DraftMark;
use super::repository::Repository;
use super::{
    Forge, ForgeError, ForgeKind, PullRequest, PullRequestDraft, Readiness, no_such_label,
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
    repository: Repository,
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
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let kind = ForgeKind::Gitea;
        let repository = Repository::new(kind, repo, api, headers, token, cancel)?;
        Ok(Self { repository })
    }

    /// The labels of the repository and of the organisation that owns it.
    async fn labels(&self) -> Result<Vec<answer::Label>, ForgeError> {
        let attempted = "reading the labels";
        let of_repository = paged(self.repository.url(&["labels"]));
        let mut labels = self.repository.api.get_all(attempted, of_repository).await?;
        let of_owner =
            paged(self.repository.api.url(["orgs", self.repository.owner.as_str(), "labels"]));
        match self.repository.api.get_all(attempted, of_owner).await {
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
        let mut url = paged(self.repository.url(&["pulls"]));
        url.query_pairs_mut().append_pair("state", "open").append_pair("sort", "recentupdate");
        let found = self.repository.api.get_all(attempted, url).await?;
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
        let url = self.repository.url(&["pulls"]);
        match self.repository.api.send(attempted, Method::POST, url, &body, Repeat::Safe).await {
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
        let updated = self.repository.edit(attempted, number, &json!({ "body": body })).await?;
        answer::pull_request(attempted, updated)
    }

    async fn set_readiness(&self, number: u64, readiness: Readiness) -> Result<(), ForgeError> {
        let attempted = "changing the draft state of the pull request";
        let read = self.repository.read(attempted, number).await?;
        let title = parse::<answer::Titled>(attempted, read)?.title;
        let body = json!({ "title": MARK.put_on(&title, readiness) });
        self.repository.edit(attempted, number, &body).await?;
        Ok(())
    }

    async fn read(&self, number: u64) -> Result<PullRequest, ForgeError> {
        let attempted = "reading the pull request back";
        answer::pull_request(attempted, self.repository.read(attempted, number).await?)
    }

    async fn add_labels(&self, number: u64, labels: &[String]) -> Result<Vec<String>, ForgeError> {
        let known = self.labels().await?;
        let id_of = |label: &String| known.iter().find(|known| known.name == *label).map(|l| l.id);
        let missing = labels.iter().filter(|label| id_of(label).is_none());
        let missing = missing.map(|label| no_such_label(label)).collect();
        let ids: Vec<u64> = labels.iter().filter_map(id_of).collect();
        if !ids.is_empty() {
            self.repository.add_labels(number, json!(ids)).await?;
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

fn paged(mut url: Url) -> Url {
    url.query_pairs_mut().append_pair("limit", PAGE);
    url
}

#[cfg(test)]
mod tests;
