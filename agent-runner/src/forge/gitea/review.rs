//! Comments and checks on Gitea.
//!
//! A thread is all that is said of one line: what is said there by a new review stands in it.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Gitea, paged};
use crate::forge::ForgeError;
use crate::forge::http::{Repeat, parse_each};
use crate::forge::review::{Check, CheckState, Line, Place, Review, ReviewComment};
use crate::git::CommitId;

#[derive(Deserialize)]
struct Reviewed {
    id: u64,
    /// How many comments it has; absent on older versions.
    comments_count: Option<u64>,
}

#[derive(Deserialize)]
struct Comment {
    id: u64,
    user: Option<User>,
    body: String,
    path: String,
    /// The line in the new file, or 0.
    position: Option<u64>,
    /// The line in the old file, or 0.
    original_position: Option<u64>,
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
}

impl From<Comment> for ReviewComment {
    fn from(comment: Comment) -> Self {
        let line = Line::of_numbers(comment.original_position, comment.position);
        let thread = match line {
            Some(Line::New(line)) => format!("{}:{line}", comment.path),
            Some(Line::Old(line)) => format!("{}:-{line}", comment.path),
            None => comment.path.clone(),
        };
        Self {
            id: comment.id,
            thread,
            author: comment.user.map(|user| user.login).unwrap_or_default(),
            body: comment.body,
            place: Place { path: comment.path, line },
        }
    }
}

impl Review for Gitea {
    async fn comment(&self, number: u64, body: &str) -> Result<(), ForgeError> {
        self.repository.comment(number, body).await
    }

    async fn review_comments(&self, number: u64) -> Result<Vec<ReviewComment>, ForgeError> {
        let attempted = "reading the reviews";
        let reviews = self
            .repository
            .api
            .get_all(attempted, paged(self.repository.pull(number, &["reviews"])))
            .await?;
        let reviews: Vec<Reviewed> = parse_each(attempted, reviews)?;
        let mut all = Vec::new();
        for review in reviews.into_iter().filter(|review| review.comments_count != Some(0)) {
            let attempted = "reading the review's comments";
            let url =
                self.repository.pull(number, &["reviews", &review.id.to_string(), "comments"]);
            let comments = self.repository.api.get_all(attempted, url).await?;
            let comments: Vec<Comment> = parse_each(attempted, comments)?;
            all.extend(comments.into_iter().map(ReviewComment::from));
        }
        Ok(all)
    }

    async fn reply(&self, number: u64, to: &ReviewComment, body: &str) -> Result<(), ForgeError> {
        let Some(line) = to.place.line else {
            // There is no line any more of which it could be said.
            return self.comment(number, body).await;
        };
        let mut comment = json!({ "path": to.place.path, "body": body });
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
        };
        Ok(statuses.into_iter().map(check).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::gitea::tests::gitea;
    use crate::forge::testing::{SHA, pushed};

    #[tokio::test]
    async fn comments_of_all_reviews_are_read_and_answered_on_their_lines() {
        let comment = |id: u64, new: u64, old: u64| {
            json!({"id": id, "user": {"login": "ann"}, "body": "Why?", "path": "a.rs",
                "position": new, "original_position": old})
        };
        let answers = vec![
            (
                200,
                "",
                json!([
                {"id": 1, "comments_count": 2}, {"id": 2, "comments_count": 0}, {"id": 3}]),
            ),
            (200, "", json!([comment(11, 3, 0), comment(12, 0, 9)])),
            (200, "", json!([comment(13, 0, 0)])),
            (200, "", json!({"id": 4})),
            (200, "", json!({"id": 5})),
            (201, "", json!({"id": 14})),
        ];
        let (gitea, asked) = gitea(answers).await;
        let read = gitea.review_comments(7).await.unwrap();
        let threads: Vec<_> = read.iter().map(|comment| comment.thread.as_str()).collect();
        assert_eq!(threads, ["a.rs:3", "a.rs:-9", "a.rs"]);
        for comment in &read {
            gitea.reply(7, comment, "So.").await.unwrap();
        }
        let pull = "/api/v1/repos/acme/shop/pulls/7";
        let reply = |line: &str| {
            format!(
                "POST {pull}/reviews {{\"comments\":[{{\"body\":\"So.\",{line},\"path\":\"a.rs\"}}],\
                 \"event\":\"COMMENT\"}}"
            )
        };
        assert_eq!(
            asked.await.unwrap(),
            [
                format!("GET {pull}/reviews?limit=50"),
                format!("GET {pull}/reviews/1/comments"),
                format!("GET {pull}/reviews/3/comments"),
                reply(r#""new_position":3"#),
                reply(r#""old_position":9"#),
                r#"POST /api/v1/repos/acme/shop/issues/7/comments {"body":"So."}"#.to_owned(),
            ]
        );
    }

    #[tokio::test]
    async fn the_checks_of_a_commit_are_its_statuses() {
        let answers = vec![(
            200,
            "",
            json!({"state": "success", "statuses": [
            {"context": "ci / test", "status": "success", "target_url": ""},
            {"context": "ci / lint", "status": "failure", "target_url": "http://x"}]}),
        )];
        let (gitea, asked) = gitea(answers).await;
        let checks = gitea.checks(pushed()).await.unwrap();
        assert_eq!((checks[0].state, &checks[0].url), (CheckState::Passed, &None));
        assert_eq!((checks[1].state, checks[1].name.as_str()), (CheckState::Failed, "ci / lint"));
        let path = format!("GET /api/v1/repos/acme/shop/commits/{SHA}/status?limit=50");
        assert_eq!(asked.await.unwrap(), [path]);
    }
}
