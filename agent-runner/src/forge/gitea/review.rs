//! What is said of a pull request on Gitea, and its checks.
//!
//! A thread is all that is said of one line: what is said there by a new review stands in it.

use std::collections::BTreeSet;

use api_client::Association;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Gitea, answer, paged};
use crate::forge::ForgeError;
use crate::forge::http::{Repeat, parse_each};
use crate::forge::review::{
    Account, Check, CheckState, Comment, LOG_MAX, Line, Place, Review, Reviewed, Thread,
    ThreadKind, ThreadState, account_kind, alone,
};
use crate::git::CommitId;

#[derive(Deserialize)]
struct SubmittedReview {
    id: u64,
    user: Option<User>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    submitted_at: String,
    /// How many comments it has; absent on older versions.
    comments_count: Option<u64>,
}

#[derive(Deserialize)]
struct LineComment {
    path: String,
    /// The line in the new file, or 0.
    position: Option<u64>,
    /// The line in the old file, or 0.
    original_position: Option<u64>,
    diff_hunk: Option<String>,
    /// Who marked it as settled.
    resolver: Option<User>,
    #[serde(flatten)]
    comment: IssueComment,
}

#[derive(Deserialize)]
struct IssueComment {
    id: u64,
    user: Option<User>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    created_at: String,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

#[derive(Deserialize)]
struct Status {
    context: String,
    status: String,
    target_url: Option<String>,
    description: Option<String>,
}

/// Those who may write to the repository, by login in lower case.
struct Writers(BTreeSet<String>);

impl Writers {
    fn account(&self, user: Option<User>) -> Account {
        let login = user.map(|user| user.login).unwrap_or_default();
        let writes = self.0.contains(&login.to_lowercase());
        let association = writes.then_some(Association::Collaborator);
        Account { kind: account_kind(&login), association, login }
    }

    fn comment(&self, comment: IssueComment) -> Comment {
        let IssueComment { id, user, body, created_at } = comment;
        Comment { id, author: self.account(user), body, at: created_at }
    }

    /// The threads of these comments; the first comment names each.
    fn threads(&self, mut comments: Vec<LineComment>) -> Vec<Thread> {
        comments.sort_by_key(|comment| comment.comment.id);
        let mut threads: Vec<Thread> = Vec::new();
        for one in comments {
            let line = Line::of_numbers(one.original_position, one.position);
            let place = Some(Place { path: one.path, line });
            let state = match one.resolver {
                Some(_) => ThreadState::Resolved,
                None => ThreadState::Open,
            };
            let comment = self.comment(one.comment);
            match threads.iter_mut().find(|thread| thread.place == place) {
                Some(thread) => thread.comments.push(comment),
                None => threads.push(Thread {
                    kind: ThreadKind::Line,
                    place,
                    hunk: one.diff_hunk.filter(|hunk| !hunk.is_empty()),
                    state,
                    ..alone(ThreadKind::Line, comment)
                }),
            }
        }
        threads
    }
}

impl Review for Gitea {
    async fn own_login(&self) -> Result<Option<String>, ForgeError> {
        self.repository.own_login().await
    }

    async fn reviewed(&self, number: u64) -> Result<Reviewed, ForgeError> {
        let attempted = "reading the pull request";
        answer::reviewed(attempted, self.repository.read(attempted, number).await?)
    }

    async fn discussion(&self, number: u64) -> Result<Vec<Thread>, ForgeError> {
        let writers = self.writers().await?;
        let reviews = self.reviews(number).await?;
        let mut lines = Vec::new();
        for review in reviews.iter().filter(|review| review.comments_count != Some(0)) {
            let attempted = "reading the review's comments";
            let url =
                self.repository.pull(number, &["reviews", &review.id.to_string(), "comments"]);
            let comments = self.repository.api.get_all(attempted, url).await?;
            lines.extend(parse_each::<LineComment>(attempted, comments)?);
        }
        let mut threads = writers.threads(lines);
        let said = reviews.into_iter().filter(|review| !review.body.trim().is_empty());
        threads.extend(said.map(|review| {
            let SubmittedReview { id, user, body, submitted_at: at, .. } = review;
            let comment = Comment { id, author: writers.account(user), body, at };
            alone(ThreadKind::Review, comment)
        }));
        let attempted = "reading the comments";
        let url = self.repository.url(&["issues", &number.to_string(), "comments"]);
        let comments = self.repository.api.get_all(attempted, url).await?;
        let comments: Vec<IssueComment> = parse_each(attempted, comments)?;
        let comments = comments.into_iter().map(|comment| writers.comment(comment));
        threads.extend(comments.map(|comment| alone(ThreadKind::Conversation, comment)));
        Ok(threads)
    }

    async fn comment(&self, number: u64, body: &str) -> Result<(), ForgeError> {
        self.repository.comment(number, body).await
    }

    async fn reply(&self, number: u64, to: &Thread, body: &str) -> Result<(), ForgeError> {
        let Some(Place { path, line: Some(line) }) = &to.place else {
            // There is no line any more of which it could be said, or there never was one.
            return self.comment(number, body).await;
        };
        let mut comment = json!({ "path": path, "body": body });
        match line {
            Line::New(line) => comment["new_position"] = json!(line),
            Line::Old(line) => comment["old_position"] = json!(line),
        }
        let body = json!({ "event": "COMMENT", "comments": [comment] });
        let url = self.repository.pull(number, &["reviews"]);
        self.repository.api.send("replying", Method::POST, url, &body, Repeat::Harmful).await?;
        Ok(())
    }

    async fn checks(&self, commit: CommitId) -> Result<Vec<Check>, ForgeError> {
        let attempted = "reading the checks of the commit";
        let url = paged(self.repository.url(&["commits", &commit.to_string(), "status"]));
        let statuses = self.repository.api.get_all_in(attempted, url, "statuses").await?;
        let statuses: Vec<Status> = parse_each(attempted, statuses)?;
        let check = |status: Status| Check {
            name: status.context,
            state: CheckState::of_word(&status.status),
            url: status.target_url.filter(|url| !url.is_empty()),
            words: status.description.filter(|words| !words.is_empty()),
            job: None,
        };
        let mut checks: Vec<Check> = statuses.into_iter().map(check).collect();
        self.name_jobs(commit, &mut checks).await;
        Ok(checks)
    }

    /// What anything but Gitea Actions reports has no job, and no log.
    async fn log_of(&self, check: &Check) -> Result<Option<String>, ForgeError> {
        let Some(job) = check.job else { return Ok(None) };
        let url = self.repository.url(&["actions", "jobs", &job.to_string(), "logs"]);
        self.repository.api.get_end_of_text("reading a check's log", url, LOG_MAX).await
    }
}

impl Gitea {
    /// Those who may be assigned are those who may write, which everybody may ask for; what one account may do is
    /// for administrators alone to ask.
    async fn writers(&self) -> Result<Writers, ForgeError> {
        let attempted = "asking who may write to the repository";
        let found =
            self.repository.api.get_all(attempted, self.repository.url(&["assignees"])).await?;
        let users: Vec<User> = parse_each(attempted, found)?;
        Ok(Writers(users.into_iter().map(|user| user.login.to_lowercase()).collect()))
    }

    /// All reviews that are submitted.
    async fn reviews(&self, number: u64) -> Result<Vec<SubmittedReview>, ForgeError> {
        let attempted = "reading the reviews";
        let url = paged(self.repository.pull(number, &["reviews"]));
        let reviews = self.repository.api.get_all(attempted, url).await?;
        let reviews: Vec<SubmittedReview> = parse_each(attempted, reviews)?;
        Ok(reviews.into_iter().filter(|review| review.state != "PENDING").collect())
    }
}

#[cfg(test)]
mod tests;
