//! GitLab, by its REST API. Its merge requests are what is a pull request elsewhere.
//!
//! Invariant: no line of a text of ours is a quick action (`/merge`, `/approve`): GitLab would carry
//! it out with the rights of the token.

mod answer;
mod review;
mod text;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::text::without_quick_actions;
use super::http::{ApiClient, Repeat, parse, parse_each};
use super::pull_request::DraftMark;
use super::{
    Forge, ForgeError, ForgeKind, PullRequest, PullRequestDraft, Readiness, no_such_label,
    not_asked,
};
use crate::git::{BranchName, RepoUrl};
use crate::token::TokenSource;

/// How the titles of drafts begin.
const MARK: DraftMark = DraftMark { written: "Draft: ", known: &["draft:", "[draft]", "(draft)"] };

/// A project on GitLab.
#[derive(Debug)]
pub(crate) struct GitLab {
    api: ApiClient,
    /// `group/subgroup/name`
    project: String,
}

impl GitLab {
    /// The project at `repo`; `api` is the base of the REST API where it is not `/api/v4` on the
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
        let base = ForgeKind::GitLab.api(repo, api)?;
        ForgeKind::owner_and_name(repo)?;
        let project = project(repo, &base);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(Self { api: ApiClient::new(base, headers, token, cancel)?, project })
    }

    /// An address below the project's.
    fn url(&self, below: &[&str]) -> Url {
        let project = ["projects", self.project.as_str()];
        self.api.url(project.into_iter().chain(below.iter().copied()))
    }

    fn merge_request(&self, number: u64) -> Url {
        self.url(&["merge_requests", &number.to_string()])
    }

    async fn put(
        &self,
        attempted: &'static str,
        number: u64,
        body: &Value,
    ) -> Result<Value, ForgeError> {
        let url = self.merge_request(number);
        self.api.send(attempted, Method::PUT, url, body, Repeat::Safe).await
    }

    async fn user(&self, name: &str) -> Result<Option<answer::User>, ForgeError> {
        let attempted = "looking for a reviewer";
        let mut url = self.api.url(["users"]);
        url.query_pairs_mut().append_pair("username", name);
        let found = self.api.get_all(attempted, url).await?;
        let users: Vec<answer::User> = parse_each(attempted, found)?;
        Ok(users.into_iter().find(|user| user.username.eq_ignore_ascii_case(name)))
    }
}

impl Forge for GitLab {
    async fn find_open(
        &self,
        head: &BranchName,
        base: &BranchName,
    ) -> Result<Option<PullRequest>, ForgeError> {
        let attempted = "looking for an open merge request";
        let mut url = self.url(&["merge_requests"]);
        url.query_pairs_mut()
            .append_pair("source_branch", head.as_str())
            .append_pair("state", "opened")
            .append_pair("per_page", "100");
        let found = self.api.get_all(attempted, url).await?;
        answer::first_between(attempted, found, head, base)
    }

    async fn create(&self, draft: &PullRequestDraft) -> Result<PullRequest, ForgeError> {
        let attempted = "opening a merge request";
        let body = json!({
            "title": draft.title_with(MARK),
            "description": without_quick_actions(&draft.body()),
            "source_branch": draft.head.as_str(),
            "target_branch": draft.base.as_str(),
        });
        let url = self.url(&["merge_requests"]);
        match self.api.send(attempted, Method::POST, url, &body, Repeat::Safe).await {
            Ok(created) => answer::merge_request(attempted, created),
            // An earlier request of ours may have arrived though its answer was lost.
            Err(error @ ForgeError::Refused { status: 409, .. }) => {
                self.find_open(&draft.head, &draft.base).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    async fn update_body(&self, number: u64, body: &str) -> Result<PullRequest, ForgeError> {
        let attempted = "updating the merge request";
        let body = json!({ "description": without_quick_actions(body) });
        answer::merge_request(attempted, self.put(attempted, number, &body).await?)
    }

    async fn set_readiness(&self, number: u64, readiness: Readiness) -> Result<(), ForgeError> {
        let attempted = "changing the draft state of the merge request";
        let read = self.api.get(attempted, self.merge_request(number)).await?;
        let title = parse::<answer::Titled>(attempted, read)?.title;
        let body = json!({ "title": MARK.put_on(&title, readiness) });
        self.put(attempted, number, &body).await?;
        Ok(())
    }

    async fn read(&self, number: u64) -> Result<PullRequest, ForgeError> {
        let attempted = "reading the merge request back";
        answer::merge_request(attempted, self.api.get(attempted, self.merge_request(number)).await?)
    }

    /// GitLab makes labels that it does not know; so they are looked for before.
    async fn add_labels(&self, number: u64, labels: &[String]) -> Result<Vec<String>, ForgeError> {
        let (mut known, mut missing) = (Vec::new(), Vec::new());
        for label in labels {
            // GitLab takes a comma for the end of a label.
            let url = self.url(&["labels", label]);
            let known_there =
                !label.contains(',') && self.api.exists("looking for a label", url).await?;
            match known_there {
                true => known.push(label.as_str()),
                false => missing.push(no_such_label(label)),
            }
        }
        if !known.is_empty() {
            let body = json!({ "add_labels": known });
            self.put("adding labels", number, &body).await?;
        }
        Ok(missing)
    }

    /// GitLab replaces all reviewers at once, and leaves out in silence those that it does not allow:
    /// all but one, where its edition knows no more.
    async fn request_reviews(
        &self,
        number: u64,
        reviewers: &[String],
    ) -> Result<Vec<String>, ForgeError> {
        let attempted = "asking for a review";
        let read = self.api.get(attempted, self.merge_request(number)).await?;
        let mut ids = parse::<answer::Reviewed>(attempted, read)?.ids();
        let (mut wanted, mut missing) = (Vec::new(), Vec::new());
        for reviewer in reviewers {
            match self.user(reviewer.trim_start_matches('@')).await? {
                Some(user) => wanted.push((reviewer, user.id)),
                None => missing.push(not_asked(reviewer, &"there is no such user")),
            }
        }
        let before = ids.len();
        let new: Vec<u64> =
            wanted.iter().map(|(_, id)| *id).filter(|id| !ids.contains(id)).collect();
        ids.extend(new);
        if ids.len() == before {
            return Ok(missing);
        }
        let put = self.put(attempted, number, &json!({ "reviewer_ids": ids })).await?;
        let asked = parse::<answer::Reviewed>(attempted, put)?.ids();
        let left_out = wanted.iter().filter(|(_, id)| !asked.contains(id));
        missing.extend(left_out.map(|(name, _)| not_asked(name, &"GitLab left them out")));
        Ok(missing)
    }
}

/// The path of a project, without that of a GitLab which is not at the root of its host.
fn project<'r>(repo: &'r RepoUrl, api: &Url) -> String {
    let path: &'r str = repo.path();
    let root = api.path().trim_end_matches('/').strip_suffix("/api/v4").unwrap_or_default();
    let root = root.trim_start_matches('/');
    let below = path.strip_prefix(root).and_then(|path| path.strip_prefix('/'));
    below.filter(|below| !root.is_empty() && below.contains('/')).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests;
