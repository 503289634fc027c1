//! Comments and checks on GitHub.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::GitHub;
use crate::forge::ForgeError;
use crate::forge::http::{Repeat, parse_each};
use crate::forge::review::{Check, CheckState, Line, Place, Review, ReviewComment};
use crate::git::CommitId;

#[derive(Deserialize)]
struct Comment {
    id: u64,
    /// The first comment of the thread, where this is another.
    in_reply_to_id: Option<u64>,
    user: Option<User>,
    body: String,
    path: String,
    line: Option<u64>,
    side: Option<String>,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

#[derive(Deserialize)]
struct Status {
    context: String,
    state: String,
    target_url: Option<String>,
}

#[derive(Deserialize)]
struct CheckRun {
    name: String,
    /// Absent until it is over.
    conclusion: Option<String>,
    html_url: Option<String>,
}

impl From<Comment> for ReviewComment {
    fn from(comment: Comment) -> Self {
        let line = match comment.side.as_deref() {
            Some("LEFT") => Line::of_numbers(comment.line, None),
            _ => Line::of_numbers(None, comment.line),
        };
        Self {
            id: comment.id,
            thread: comment.in_reply_to_id.unwrap_or(comment.id).to_string(),
            author: comment.user.map(|user| user.login).unwrap_or_default(),
            body: comment.body,
            place: Place { path: comment.path, line },
        }
    }
}

impl Review for GitHub {
    async fn comment(&self, number: u64, body: &str) -> Result<(), ForgeError> {
        self.repository.comment(number, body).await
    }

    async fn review_comments(&self, number: u64) -> Result<Vec<ReviewComment>, ForgeError> {
        let attempted = "reading the review's comments";
        let mut url = self.repository.pull(number, &["comments"]);
        url.query_pairs_mut().append_pair("per_page", "100");
        let found = self.repository.api.get_all(attempted, url).await?;
        let comments: Vec<Comment> = parse_each(attempted, found)?;
        Ok(comments.into_iter().map(ReviewComment::from).collect())
    }

    async fn reply(&self, number: u64, to: &ReviewComment, body: &str) -> Result<(), ForgeError> {
        let url = self.repository.pull(number, &["comments", &to.thread, "replies"]);
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
        });
        let runs =
            self.repository.api.get_all_in(attempted, url("check-runs"), "check_runs").await?;
        let runs: Vec<CheckRun> = parse_each(attempted, runs)?;
        let runs = runs.into_iter().map(|run| Check {
            name: run.name,
            state: run.conclusion.as_deref().map_or(CheckState::Pending, CheckState::of_word),
            url: run.html_url,
        });
        Ok(statuses.chain(runs).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::github::tests::github;
    use crate::forge::testing::{SHA, pushed};

    #[tokio::test]
    async fn comments_are_read_with_their_threads_and_answered_there() {
        let comment = json!({
            "id": 11, "user": {"login": "ann"}, "body": "Why?", "path": "src/a.rs", "line": 3,
            "side": "RIGHT", "pull_request_review_id": 1,
        });
        let mut answer = comment.clone();
        answer["id"] = json!(12);
        answer["in_reply_to_id"] = json!(11);
        answer["user"] = json!(null);
        answer["line"] = json!(null);
        let next = "link: <http://h/api/v3/x?per_page=100&page=2>; rel=\"next\"\r\n";
        let answers = vec![
            (200, next, json!([comment])),
            (200, "", json!([answer])),
            (201, "", json!({"id": 13})),
            (201, "", json!({"id": 14})),
        ];
        let (github, asked) = github(answers).await;
        let read = github.review_comments(7).await.unwrap();
        assert_eq!((read[0].thread.as_str(), read[1].thread.as_str()), ("11", "11"));
        assert_eq!((read[0].author.as_str(), read[1].author.as_str()), ("ann", ""));
        let place = Place { path: "src/a.rs".into(), line: Some(Line::New(3)) };
        assert_eq!((&read[0].place, read[1].place.line), (&place, None));
        github.reply(7, &read[1], "Because.").await.unwrap();
        github.comment(7, "Done.").await.unwrap();
        let repo = "/api/v3/repos/acme/shop";
        assert_eq!(
            asked.await.unwrap()[2..],
            [
                format!(r#"POST {repo}/pulls/7/comments/11/replies {{"body":"Because."}}"#),
                format!(r#"POST {repo}/issues/7/comments {{"body":"Done."}}"#),
            ]
        );
    }

    #[tokio::test]
    async fn a_comment_that_may_have_arrived_is_not_made_twice() {
        let (github, asked) = github(vec![(502, "", json!(""))]).await;
        let error = github.comment(7, "Done.").await.unwrap_err();
        assert!(matches!(error, ForgeError::Unreachable { .. }), "{error}");
        assert_eq!(asked.await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn checks_of_both_kinds_are_read() {
        let answers = vec![
            (
                200,
                "",
                json!({"state": "pending", "statuses": [
                {"context": "ci", "state": "error", "target_url": null}]}),
            ),
            (
                200,
                "",
                json!({"total_count": 2, "check_runs": [
                {"name": "lint", "status": "in_progress", "conclusion": null, "html_url": "http://x"},
                {"name": "docs", "status": "completed", "conclusion": "skipped", "html_url": null}]}),
            ),
        ];
        let (github, asked) = github(answers).await;
        let checks = github.checks(pushed()).await.unwrap();
        let states: Vec<_> = checks.iter().map(|check| check.state).collect();
        assert_eq!(states, [CheckState::Failed, CheckState::Pending, CheckState::Neutral]);
        let commit = format!("GET /api/v3/repos/acme/shop/commits/{SHA}");
        assert_eq!(
            asked.await.unwrap(),
            [format!("{commit}/status?per_page=100"), format!("{commit}/check-runs?per_page=100"),]
        );
    }
}
