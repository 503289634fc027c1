//! Gitea's API, which Forgejo has too. It does not tell with a comment whether its author is of the
//! project: who may be assigned is who may write, and that is asked for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use api_client::{Association, ReviewAuthors};
use serde::Deserialize;
use url::Url;

use super::client::Client;
use super::recent::Recent;
use super::verdict::{Verdict, approval};
use super::{
    Account, Approval, Comment, CommentId, CommentKind, Conversation, FailedCheck, ForgeError,
    Gate, Pull, PullState,
};
use crate::clock::Timestamp;

/// A repository on Gitea.
#[derive(Debug)]
pub(crate) struct Gitea {
    client: Client,
    path: Vec<String>,
    writers: Recent<(), Arc<Writers>>,
}

/// Those who may write to the repository, by login in lower case.
#[derive(Debug, Default)]
struct Writers(HashSet<String>);

#[derive(Deserialize)]
struct PullAnswer {
    state: String,
    #[serde(default)]
    merged: bool,
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    sha: String,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

/// A comment of the conversation or on a line.
#[derive(Deserialize)]
struct Entry {
    id: u64,
    user: Option<User>,
    body: String,
    created_at: String,
    /// Who says that it is dealt with; of comments on lines.
    resolver: Option<User>,
}

#[derive(Deserialize)]
struct Review {
    id: u64,
    user: Option<User>,
    body: String,
    state: String,
    submitted_at: String,
    /// Whether the verdict is of one who may merge, or was named for it.
    #[serde(default)]
    official: bool,
    #[serde(default)]
    dismissed: bool,
    /// Whether there are newer commits.
    #[serde(default)]
    stale: bool,
    /// How many comments on lines it has; absent on older versions.
    comments_count: Option<u64>,
}

#[derive(Deserialize)]
struct Statuses {
    /// `null` where there are none.
    statuses: Option<Vec<Status>>,
}

#[derive(Deserialize)]
struct Status {
    context: String,
    status: String,
    target_url: Option<String>,
    updated_at: Option<String>,
}

impl Gitea {
    pub(super) fn new(client: Client, path: &str) -> Self {
        let path = path.split('/').map(str::to_owned).collect();
        Self { client, path, writers: Recent::new() }
    }

    pub(super) async fn look(
        &self,
        number: u64,
        authors: &ReviewAuthors,
    ) -> Result<Pull, ForgeError> {
        let number = number.to_string();
        let (pull, seen_at) = self.client.one::<PullAnswer>(self.url(&["pulls", &number])).await?;
        let state = match (pull.merged, pull.state.as_str()) {
            (true, _) => PullState::Merged,
            (false, "open") => {
                PullState::Open(self.conversation(&number, &pull.head.sha, authors).await?)
            }
            (false, _) => PullState::Closed,
        };
        Ok(Pull { seen_at, state })
    }

    async fn conversation(
        &self,
        number: &str,
        head: &str,
        authors: &ReviewAuthors,
    ) -> Result<Conversation, ForgeError> {
        let gate = Gate { own: self.client.own().await?, authors };
        let writers = self.writers().await?;
        let writers = writers.as_ref();
        let said = self.url(&["issues", number, "comments"]);
        let said: Vec<Entry> = self.client.all(said).await?;
        let reviews = paged(self.url(&["pulls", number, "reviews"]));
        let reviews: Vec<Review> = self.client.all(reviews).await?;
        let approval = approval_of(&reviews, gate.own);
        let mut comments: Vec<Comment> = Vec::new();
        for review in reviews {
            if review.comments_count != Some(0) {
                let id = review.id.to_string();
                let inline = self.url(&["pulls", number, "reviews", &id, "comments"]);
                let inline: Vec<Entry> = self.client.all(inline).await?;
                let open = inline.into_iter().filter(|entry| entry.resolver.is_none());
                comments.extend(
                    open.filter_map(|entry| entry.comment(CommentKind::Inline, gate, writers)),
                );
            }
            comments.extend(review.comment(gate, writers));
        }
        let said = said.into_iter();
        comments.extend(
            said.filter_map(|entry| entry.comment(CommentKind::Conversation, gate, writers)),
        );
        Ok(Conversation { approval, comments, failing: self.failing(head).await? })
    }

    async fn writers(&self) -> Result<Arc<Writers>, ForgeError> {
        let now = Instant::now();
        if let Some(writers) = self.writers.get(&(), now) {
            return Ok(writers);
        }
        let users = self.client.all::<User>(self.url(&["assignees"])).await;
        let users = self.client.unless_closed(users)?;
        let logins = users.into_iter().map(|user| user.login.to_lowercase());
        let writers = Arc::new(Writers(logins.collect()));
        self.writers.put((), Arc::clone(&writers), now);
        Ok(writers)
    }

    async fn failing(&self, head: &str) -> Result<Vec<FailedCheck>, ForgeError> {
        let url = paged(self.url(&["commits", head, "status"]));
        let list_of = |page: Statuses| page.statuses.unwrap_or_default();
        let statuses = self.client.unless_closed(self.client.pages(url, list_of).await)?;
        let failed = statuses.into_iter().filter_map(|status| {
            let failed = matches!(status.status.as_str(), "failure" | "error");
            let failed_at = Timestamp::from_rfc3339(status.updated_at.as_deref()?)?;
            let page = status.target_url.filter(|page| !page.is_empty());
            let (name, commit) = (status.context, head.to_owned());
            failed.then_some(FailedCheck { name, commit, page, failed_at })
        });
        Ok(failed.collect())
    }

    fn url(&self, below: &[&str]) -> Url {
        let path = self.path.iter().map(String::as_str);
        self.client.url(["repos"].into_iter().chain(path).chain(below.iter().copied()))
    }
}

impl Writers {
    fn account(&self, login: &str) -> Account {
        let writes = self.0.contains(&login.to_lowercase());
        Account::Person(writes.then_some(Association::Collaborator))
    }
}

impl Entry {
    fn comment(self, kind: CommentKind, gate: Gate<'_>, writers: &Writers) -> Option<Comment> {
        let written_at = Timestamp::from_rfc3339(&self.created_at)?;
        let login = self.user.map(|user| user.login).unwrap_or_default();
        let author = gate.author(&login, writers.account(&login), &self.body);
        let id = CommentId { kind, number: self.id };
        Some(Comment { id, author, body: self.body, written_at })
    }
}

impl Review {
    fn is_of(&self, own: Option<&str>) -> bool {
        let login = self.user.as_ref().map(|user| user.login.as_str());
        login.zip(own).is_some_and(|(login, own)| login.eq_ignore_ascii_case(own))
    }

    /// What it says as a whole; the words of one that approves ask for nothing.
    fn comment(self, gate: Gate<'_>, writers: &Writers) -> Option<Comment> {
        let asks = matches!(self.state.as_str(), "COMMENT" | "REQUEST_CHANGES");
        let says = asks && !self.body.trim().is_empty();
        let (id, user, body, created_at) = (self.id, self.user, self.body, self.submitted_at);
        let entry = Entry { id, user, body, created_at, resolver: None };
        says.then_some(entry)?.comment(CommentKind::Review, gate, writers)
    }
}

/// Of the official verdicts, but for our own; who approved older commits has not seen the newest one.
fn approval_of(reviews: &[Review], own: Option<&str>) -> Approval {
    let official = reviews.iter().filter(|review| review.official);
    approval(official.filter(|review| !review.is_of(own)).filter_map(|review| {
        let verdict = match review.state.as_str() {
            _ if review.dismissed => Verdict::Withdrawn,
            "APPROVED" if review.stale => Verdict::Withdrawn,
            "APPROVED" => Verdict::Approves,
            "REQUEST_CHANGES" => Verdict::AsksForChanges,
            _ => return None,
        };
        Some((review.user.as_ref().map_or("", |user| &user.login), verdict))
    }))
}

fn paged(mut url: Url) -> Url {
    url.query_pairs_mut().append_pair("limit", "50");
    url
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::forge::Author;

    fn review(change: &Value) -> Review {
        let mut review = json!({
            "id": 3, "user": {"login": "ann"}, "body": "Rename it", "state": "REQUEST_CHANGES",
            "submitted_at": "2026-01-31T12:00:00+01:00", "official": true, "dismissed": false,
        });
        for (name, value) in change.as_object().unwrap() {
            review[name] = value.clone();
        }
        serde_json::from_value(review).unwrap()
    }

    #[test]
    fn only_official_verdicts_that_stand_count() {
        for (change, expected) in [
            (json!({"state": "APPROVED"}), Approval::Given),
            (json!({"state": "APPROVED", "user": {"login": "agents"}}), Approval::Missing),
            (json!({"state": "APPROVED", "official": false}), Approval::Missing),
            (json!({"state": "APPROVED", "dismissed": true}), Approval::Missing),
            (json!({"state": "APPROVED", "stale": true}), Approval::Missing),
            (json!({}), Approval::Missing),
        ] {
            assert_eq!(approval_of(&[review(&change)], Some("agents")), expected, "{change}");
        }
    }

    #[test]
    fn a_review_is_a_comment_where_its_words_ask_for_something() {
        let writers = Writers(HashSet::from(["ann".to_owned()]));
        let gate = Gate { own: None, authors: &ReviewAuthors::default() };
        let comment = |change: Value| review(&change).comment(gate, &writers);
        let said = comment(json!({})).unwrap();
        assert_eq!(said.author, Author::Person);
        let other = comment(json!({"user": {"login": "eve"}})).unwrap();
        assert_eq!(other.author, Author::Outsider);
        assert_eq!(said.id, CommentId { kind: CommentKind::Review, number: 3 });
        assert_eq!(said.written_at.to_string(), "2026-01-31T11:00:00.000Z");
        assert!(comment(json!({"state": "APPROVED"})).is_none());
        assert!(comment(json!({"state": "PENDING"})).is_none());
        assert!(comment(json!({"body": ""})).is_none());
    }
}
