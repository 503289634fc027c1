//! What is said of a merge request on GitLab, and its checks.

use std::collections::BTreeMap;

use api_client::Association;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::GitLab;
use super::answer;
use super::text::without_quick_actions;
use crate::forge::ForgeError;
use crate::forge::http::{Repeat, parse, parse_each};
use crate::forge::repository::own_login;
use crate::forge::review::{
    Account, Check, CheckState, Comment, LOG_MAX, Line, Place, Review, Reviewed, Thread,
    ThreadKind, ThreadState, account_kind,
};
use crate::git::CommitId;

/// The level from which a member may write: that of developers.
const DEVELOPER: u64 = 30;

#[derive(Deserialize)]
struct Discussion {
    id: String,
    #[serde(default)]
    individual_note: bool,
    notes: Vec<Note>,
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    author: Option<Author>,
    body: String,
    #[serde(default)]
    created_at: String,
    /// GitLab's own: that somebody pushed, and the like.
    #[serde(default)]
    system: bool,
    /// For members alone to read: what is said of it would be for everybody.
    #[serde(default)]
    internal: bool,
    /// What older versions call that.
    #[serde(default)]
    confidential: bool,
    #[serde(default)]
    resolved: bool,
    /// Absent where it is not about a line.
    position: Option<Position>,
}

#[derive(Deserialize)]
struct Author {
    id: Option<u64>,
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
struct Member {
    access_level: u64,
}

#[derive(Deserialize)]
struct Status {
    id: Option<u64>,
    name: String,
    status: String,
    /// Whether the pipeline passes without it.
    #[serde(default)]
    allow_failure: bool,
    target_url: Option<String>,
    description: Option<String>,
}

/// Members that may write, by the number of the account.
type Writers = BTreeMap<u64, Association>;

impl Discussion {
    /// What people said in it, if they did.
    fn thread(self, writers: &Writers) -> Option<Thread> {
        let notes: Vec<Note> = self.notes.into_iter().filter(Note::is_for_all).collect();
        let first = notes.first()?;
        let place = first.position.as_ref().map(Position::place);
        let state = match first.resolved {
            true => ThreadState::Resolved,
            false => ThreadState::Open,
        };
        // A note becomes a discussion once somebody answers it, and keeps its own number.
        let (kind, id, address) = match (&place, self.individual_note) {
            (Some(_), _) => (ThreadKind::Line, self.id, None),
            (None, false) => (ThreadKind::Conversation, first.id.to_string(), Some(self.id)),
            (None, true) => (ThreadKind::Conversation, first.id.to_string(), None),
        };
        let comments = notes.into_iter().map(|note| note.comment(writers)).collect();
        Some(Thread { kind, id, address, place, hunk: None, state, comments })
    }
}

impl Note {
    const fn is_for_all(&self) -> bool {
        !(self.system || self.internal || self.confidential)
    }

    fn comment(self, writers: &Writers) -> Comment {
        let number = self.author.as_ref().and_then(|author| author.id);
        let association = number.and_then(|number| writers.get(&number).copied());
        let login = self.author.map(|author| author.username).unwrap_or_default();
        let author = Account { kind: account_kind(&login), association, login };
        Comment { id: self.id, author, body: self.body, at: self.created_at }
    }
}

impl Position {
    fn place(&self) -> Place {
        let path = self.new_path.clone().or_else(|| self.old_path.clone());
        let line = Line::of_numbers(self.old_line, self.new_line);
        Place { path: path.unwrap_or_default(), line }
    }
}

impl Review for GitLab {
    async fn own_login(&self) -> Result<Option<String>, ForgeError> {
        own_login(&self.api).await
    }

    async fn reviewed(&self, number: u64) -> Result<Reviewed, ForgeError> {
        let attempted = "reading the merge request";
        answer::reviewed(attempted, self.api.get(attempted, self.merge_request(number)).await?)
    }

    async fn discussion(&self, number: u64) -> Result<Vec<Thread>, ForgeError> {
        let attempted = "reading the review's comments";
        let mut url = self.url(&["merge_requests", &number.to_string(), "discussions"]);
        url.query_pairs_mut().append_pair("per_page", "100");
        let found = self.api.get_all(attempted, url).await?;
        let discussions: Vec<Discussion> = parse_each(attempted, found)?;
        let writers = self.writers(&discussions).await?;
        let threads = discussions.into_iter();
        Ok(threads.filter_map(|discussion| discussion.thread(&writers)).collect())
    }

    async fn comment(&self, number: u64, body: &str) -> Result<(), ForgeError> {
        let url = self.url(&["merge_requests", &number.to_string(), "notes"]);
        let body = json!({ "body": without_quick_actions(body) });
        self.api.send("commenting", Method::POST, url, &body, Repeat::Harmful).await?;
        Ok(())
    }

    async fn reply(&self, number: u64, to: &Thread, body: &str) -> Result<(), ForgeError> {
        let discussion = match (&to.address, to.kind) {
            (Some(discussion), _) => discussion,
            (None, ThreadKind::Line) => &to.id,
            (None, _) => return self.comment(number, body).await,
        };
        let number = number.to_string();
        let url = self.url(&["merge_requests", &number, "discussions", discussion, "notes"]);
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
            state: match CheckState::of_word(&status.status) {
                CheckState::Failed if status.allow_failure => CheckState::Neutral,
                state => state,
            },
            name: status.name,
            url: status.target_url,
            words: status.description,
            job: status.id,
        };
        Ok(statuses.into_iter().map(check).collect())
    }

    /// What a service reports has no job, and no log.
    async fn log_of(&self, check: &Check) -> Result<Option<String>, ForgeError> {
        let Some(job) = check.job else { return Ok(None) };
        let url = self.url(&["jobs", &job.to_string(), "trace"]);
        self.api.get_end_of_text("reading a check's log", url, LOG_MAX).await
    }
}

impl GitLab {
    /// Those of the people who said something that may write, members of the groups above among them.
    async fn writers(&self, discussions: &[Discussion]) -> Result<Writers, ForgeError> {
        let attempted = "asking who may write to the project";
        let notes = discussions.iter().flat_map(|discussion| &discussion.notes);
        let people =
            notes.filter(|note| note.is_for_all()).filter_map(|note| note.author.as_ref()?.id);
        let mut asked = BTreeMap::new();
        for id in people {
            if asked.contains_key(&id) {
                continue;
            }
            let url = self.url(&["members", "all", &id.to_string()]);
            let level = match self.api.get(attempted, url).await {
                Ok(member) => parse::<Member>(attempted, member)?.access_level,
                Err(ForgeError::NotFound { .. }) => 0,
                Err(error) => return Err(error),
            };
            asked.insert(id, level);
        }
        let writes = asked.into_iter().filter(|(_, level)| *level >= DEVELOPER);
        Ok(writes.map(|(id, _)| (id, Association::Collaborator)).collect())
    }
}

#[cfg(test)]
mod tests;
