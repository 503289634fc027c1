//! What is said of a pull request on GitHub, and its checks.
//!
//! That a thread is resolved is told by GraphQL alone.

mod answer;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use self::answer::{Actions, IssueComment, LineComment, Status, SubmittedReview};
use super::GitHub;
use crate::forge::http::{Repeat, parse, parse_each};
use crate::forge::review::{
    Check, CheckState, LOG_MAX, Review, Reviewed, Thread, ThreadKind, ThreadState, alone,
};
use crate::forge::{ForgeError, github};
use crate::git::CommitId;

/// The most pages of threads that are asked for.
const PAGES: usize = 20;

impl Review for GitHub {
    async fn own_login(&self) -> Result<Option<String>, ForgeError> {
        self.repository.own_login().await
    }

    async fn reviewed(&self, number: u64) -> Result<Reviewed, ForgeError> {
        let attempted = "reading the pull request";
        github::answer::reviewed(attempted, self.repository.read(attempted, number).await?)
    }

    async fn discussion(&self, number: u64) -> Result<Vec<Thread>, ForgeError> {
        let attempted = "reading the review's comments";
        let lines: Vec<LineComment> = self.all(attempted, number, &["pulls", "comments"]).await?;
        let resolved = match lines.is_empty() {
            true => BTreeSet::new(),
            false => self.resolved(number).await?,
        };
        let mut threads = answer::threads(lines);
        for thread in &mut threads {
            if thread.id.parse().is_ok_and(|id| resolved.contains(&id)) {
                thread.state = ThreadState::Resolved;
            }
        }
        let attempted = "reading the reviews";
        let reviews: Vec<SubmittedReview> =
            self.all(attempted, number, &["pulls", "reviews"]).await?;
        let reviews = reviews.into_iter().filter_map(SubmittedReview::comment);
        threads.extend(reviews.map(|comment| alone(ThreadKind::Review, comment)));
        let attempted = "reading the comments";
        let comments: Vec<IssueComment> =
            self.all(attempted, number, &["issues", "comments"]).await?;
        let comments = comments.into_iter().map(IssueComment::comment);
        threads.extend(comments.map(|comment| alone(ThreadKind::Conversation, comment)));
        Ok(threads)
    }

    async fn comment(&self, number: u64, body: &str) -> Result<(), ForgeError> {
        self.repository.comment(number, body).await
    }

    async fn reply(&self, number: u64, to: &Thread, body: &str) -> Result<(), ForgeError> {
        if to.kind != ThreadKind::Line {
            return self.comment(number, body).await;
        }
        let url = self.repository.pull(number, &["comments", &to.id, "replies"]);
        let body = json!({ "body": body });
        self.repository.api.send("replying", Method::POST, url, &body, Repeat::Harmful).await?;
        Ok(())
    }

    /// Both kinds: those that services report, and those of GitHub Actions and Apps.
    async fn checks(&self, commit: CommitId) -> Result<Vec<Check>, ForgeError> {
        let attempted = "reading the checks of the commit";
        let commit = commit.to_string();
        let url = |kind: &str| {
            let mut url = self.repository.url(&["commits", &commit, kind]);
            url.query_pairs_mut().append_pair("per_page", "100");
            url
        };
        let statuses = self.repository.api.get_all_in(attempted, url("status"), "statuses").await?;
        let statuses: Vec<Status> = parse_each(attempted, statuses)?;
        let statuses = statuses.into_iter().map(|status| Check {
            name: status.context,
            state: CheckState::of_word(&status.state),
            url: status.target_url,
            words: status.description,
            job: None,
        });
        let runs =
            self.repository.api.get_all_in(attempted, url("check-runs"), "check_runs").await?;
        let runs: Vec<Actions> = parse_each(attempted, runs)?;
        Ok(statuses.chain(runs.into_iter().map(Actions::check)).collect())
    }

    async fn log_of(&self, check: &Check) -> Result<Option<String>, ForgeError> {
        let Some(job) = check.job else { return Ok(None) };
        let url = self.repository.url(&["actions", "jobs", &job.to_string(), "logs"]);
        self.repository.api.get_end_of_text("reading a check's log", url, LOG_MAX).await
    }
}

impl GitHub {
    /// All entries of a list below a pull request, or below its issue.
    async fn all<T: serde::de::DeserializeOwned>(
        &self,
        attempted: &'static str,
        number: u64,
        [above, below]: &[&str; 2],
    ) -> Result<Vec<T>, ForgeError> {
        let mut url = self.repository.url(&[above, &number.to_string(), below]);
        url.query_pairs_mut().append_pair("per_page", "100");
        parse_each(attempted, self.repository.api.get_all(attempted, url).await?)
    }

    /// The first comments of all threads that are resolved.
    async fn resolved(&self, number: u64) -> Result<BTreeSet<u64>, ForgeError> {
        match self.resolved_by("fullDatabaseId", number).await {
            // Older servers have numbers for it that are not as long.
            Err(ForgeError::Refused { .. }) => self.resolved_by("databaseId", number).await,
            found => found,
        }
    }

    async fn resolved_by(
        &self,
        id: &'static str,
        number: u64,
    ) -> Result<BTreeSet<u64>, ForgeError> {
        let attempted = "asking which threads are resolved";
        let query = format!(
            "query($owner: String!, $name: String!, $number: Int!, $after: String) {{ \
             repository(owner: $owner, name: $name) {{ pullRequest(number: $number) {{ \
             reviewThreads(first: 100, after: $after) {{ nodes {{ isResolved \
             comments(first: 1) {{ nodes {{ id: {id} }} }} }} \
             pageInfo {{ hasNextPage endCursor }} }} }} }} }}"
        );
        let (owner, name) = (&self.repository.owner, &self.repository.name);
        let (mut resolved, mut after) = (BTreeSet::new(), Value::Null);
        for _ in 0..PAGES {
            let variables = json!({"owner": owner, "name": name, "number": number, "after": after});
            let body = json!({"query": query, "variables": variables});
            let url = self.graphql();
            let said =
                self.repository.api.send(attempted, Method::POST, url, &body, Repeat::Safe).await?;
            let page: answer::Page = parse(attempted, said)?;
            resolved.extend(page.resolved());
            match page.next() {
                Some(cursor) => after = json!(cursor),
                None => break,
            }
        }
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests;
