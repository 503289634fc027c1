//! Comments and checks on GitLab.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::GitLab;
use super::text::without_quick_actions;
use crate::forge::ForgeError;
use crate::forge::http::{Repeat, parse_each};
use crate::forge::review::{Check, CheckState, Line, Place, Review, ReviewComment};
use crate::git::CommitId;

#[derive(Deserialize)]
struct Discussion {
    id: String,
    notes: Vec<Note>,
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    author: Option<Author>,
    body: String,
    /// Absent where it is not about a line.
    position: Option<Position>,
}

#[derive(Deserialize)]
struct Author {
    username: String,
}

#[derive(Deserialize)]
struct Position {
    new_path: Option<String>,
    old_path: Option<String>,
    new_line: Option<u64>,
    old_line: Option<u64>,
}

#[derive(Deserialize)]
struct Status {
    name: String,
    status: String,
    target_url: Option<String>,
}

impl Discussion {
    /// Its notes that are about a line.
    fn comments(self) -> impl Iterator<Item = ReviewComment> {
        let thread = self.id;
        self.notes.into_iter().filter_map(move |note| {
            let position = note.position?;
            Some(ReviewComment {
                id: note.id,
                thread: thread.clone(),
                author: note.author.map(|author| author.username).unwrap_or_default(),
                body: note.body,
                place: Place {
                    path: position.new_path.or(position.old_path).unwrap_or_default(),
                    line: Line::of_numbers(position.old_line, position.new_line),
                },
            })
        })
    }
}

impl Review for GitLab {
    async fn comment(&self, number: u64, body: &str) -> Result<(), ForgeError> {
        let url = self.url(&["merge_requests", &number.to_string(), "notes"]);
        let body = json!({ "body": without_quick_actions(body) });
        self.api.send("commenting", Method::POST, url, &body, Repeat::Harmful).await?;
        Ok(())
    }

    async fn review_comments(&self, number: u64) -> Result<Vec<ReviewComment>, ForgeError> {
        let attempted = "reading the review's comments";
        let mut url = self.url(&["merge_requests", &number.to_string(), "discussions"]);
        url.query_pairs_mut().append_pair("per_page", "100");
        let found = self.api.get_all(attempted, url).await?;
        let discussions: Vec<Discussion> = parse_each(attempted, found)?;
        Ok(discussions.into_iter().flat_map(Discussion::comments).collect())
    }

    async fn reply(&self, number: u64, to: &ReviewComment, body: &str) -> Result<(), ForgeError> {
        let number = number.to_string();
        let url = self.url(&["merge_requests", &number, "discussions", &to.thread, "notes"]);
        let body = json!({ "body": without_quick_actions(body) });
        self.api.send("replying", Method::POST, url, &body, Repeat::Harmful).await?;
        Ok(())
    }

    async fn checks(&self, commit: CommitId) -> Result<Vec<Check>, ForgeError> {
        let attempted = "reading the checks of the commit";
        let mut url = self.url(&["repository", "commits", &commit.to_string(), "statuses"]);
        url.query_pairs_mut().append_pair("per_page", "100");
        let statuses: Vec<Status> = parse_each(attempted, self.api.get_all(attempted, url).await?)?;
        let check = |status: Status| Check {
            name: status.name,
            state: CheckState::of_word(&status.status),
            url: status.target_url,
        };
        Ok(statuses.into_iter().map(check).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::gitlab::tests::gitlab;
    use crate::forge::testing::{SHA, pushed};

    const PROJECT: &str = "/api/v4/projects/acme%2Fweb%2Fshop";

    #[tokio::test]
    async fn comments_are_read_with_their_threads_and_answered_there() {
        let note = |id: u64, position: serde_json::Value| json!({"id": id, "author": {"username": "ann"}, "body": "Why?", "position": position});
        let position =
            json!({"new_path": "a.rs", "old_path": "a.rs", "new_line": null, "old_line": 4});
        let answers = vec![
            (
                200,
                "x-next-page: 2\r\n",
                json!([
                {"id": "d0", "individual_note": true, "notes": [note(1, json!(null))]}]),
            ),
            (
                200,
                "x-next-page: \r\n",
                json!([
                {"id": "d1", "individual_note": false,
                 "notes": [note(2, position.clone()), note(3, position)]}]),
            ),
            (201, "", json!({"id": 4})),
            (201, "", json!({"id": 5})),
        ];
        let (gitlab, asked) = gitlab(answers).await;
        let read = gitlab.review_comments(7).await.unwrap();
        assert_eq!(read.iter().map(|comment| comment.id).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(read[0].place, Place { path: "a.rs".into(), line: Some(Line::Old(4)) });
        gitlab.reply(7, &read[1], "So.\n/merge").await.unwrap();
        gitlab.comment(7, "/approve").await.unwrap();
        let request = format!("POST {PROJECT}/merge_requests/7");
        assert_eq!(
            asked.await.unwrap()[2..],
            [
                format!(r#"{request}/discussions/d1/notes {{"body":"So.\n\\/merge"}}"#),
                format!(r#"{request}/notes {{"body":"\\/approve"}}"#),
            ]
        );
    }

    #[tokio::test]
    async fn the_checks_of_a_commit_are_its_statuses() {
        let status = |name: &str, status: &str| json!({"name": name, "status": status});
        let answers = vec![(
            200,
            "",
            json!([
                status("test", "success"),
                status("lint", "failed"),
                status("deploy", "manual"),
                status("docs", "running")
            ]),
        )];
        let (gitlab, asked) = gitlab(answers).await;
        let states = gitlab.checks(pushed()).await.unwrap();
        let states: Vec<_> = states.iter().map(|check| check.state).collect();
        use CheckState::{Failed, Neutral, Passed, Pending};
        assert_eq!(states, [Passed, Failed, Neutral, Pending]);
        let path = format!("GET {PROJECT}/repository/commits/{SHA}/statuses?per_page=100");
        assert_eq!(asked.await.unwrap(), [path]);
    }
}
