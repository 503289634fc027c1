//! GitLab's API: a project is one part of the path, and all comments are notes of discussions. It does
//! not tell with a note whether its author is of the project: that is asked for.

use std::collections::HashMap;
use std::time::Instant;

use api_client::{Association, ReviewAuthors};
use serde::Deserialize;
use url::Url;

use super::client::Client;
use super::recent::Recent;
use super::{
    Account, Approval, Comment, CommentId, CommentKind, Conversation, FailedCheck, ForgeError,
    Gate, Pull, PullState,
};
use crate::clock::Timestamp;

/// The access level of those who may push: developers.
const WRITES: u64 = 30;

/// What accounts are to a project, by number.
type Members = HashMap<u64, Option<Association>>;

/// A project on GitLab.
#[derive(Debug)]
pub(crate) struct GitLab {
    client: Client,
    path: String,
    /// What accounts are to the project, by number.
    members: Recent<u64, Option<Association>>,
}

#[derive(Deserialize)]
struct MergeRequest {
    state: String,
    /// `mergeable`, or the first reason why it is not; absent before GitLab 15.6.
    #[serde(default)]
    detailed_merge_status: String,
    /// The newest pipeline of the newest commit.
    head_pipeline: Option<Pipeline>,
}

#[derive(Deserialize)]
struct Pipeline {
    sha: String,
    status: String,
    web_url: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    username: String,
}

#[derive(Default, Deserialize)]
struct Member {
    access_level: u64,
}

#[derive(Deserialize)]
struct Discussion {
    notes: Vec<Note>,
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    author: Option<User>,
    body: String,
    created_at: String,
    /// Written by GitLab itself.
    #[serde(default)]
    system: bool,
    /// Of a thread that is dealt with.
    #[serde(default)]
    resolved: bool,
    /// `DiffNote` where it is about a line.
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Default, Deserialize)]
struct Approvals {
    #[serde(default)]
    approved: bool,
    #[serde(default)]
    approved_by: Vec<serde_json::Value>,
}

impl GitLab {
    pub(super) fn new(client: Client, path: &str) -> Self {
        Self { client, path: path.to_owned(), members: Recent::new() }
    }

    pub(super) async fn look(
        &self,
        number: u64,
        authors: &ReviewAuthors,
    ) -> Result<Pull, ForgeError> {
        let number = number.to_string();
        let (request, seen_at) = self.client.one::<MergeRequest>(self.url(&number, &[])).await?;
        let state = match request.state.as_str() {
            "opened" => PullState::Open(self.conversation(&number, request, authors).await?),
            "merged" => PullState::Merged,
            // While it is being merged.
            "locked" => PullState::Open(Conversation {
                approval: Approval::Missing,
                comments: Vec::new(),
                failing: Vec::new(),
            }),
            _ => PullState::Closed,
        };
        Ok(Pull { seen_at, state })
    }

    async fn conversation(
        &self,
        number: &str,
        request: MergeRequest,
        authors: &ReviewAuthors,
    ) -> Result<Conversation, ForgeError> {
        let gate = Gate { own: self.client.own().await?, authors };
        let mut said = self.url(number, &["discussions"]);
        said.query_pairs_mut().append_pair("per_page", "100");
        let said: Vec<Discussion> = self.client.all(said).await?;
        let notes = said.into_iter().flat_map(|discussion| discussion.notes);
        let notes: Vec<Note> = notes.filter(|note| !note.system && !note.resolved).collect();
        let mut members = Members::new();
        for author in notes.iter().filter_map(|note| note.author.as_ref()) {
            members.insert(author.id, self.association(author.id).await?);
        }
        let given = self.client.one(self.url(number, &["approvals"])).await;
        let given = self.client.unless_closed(given.map(|(given, _)| given))?;
        Ok(Conversation {
            approval: approval_of(&request, &given),
            comments: notes.into_iter().filter_map(|note| note.comment(gate, &members)).collect(),
            failing: request.head_pipeline.and_then(Pipeline::failure).into_iter().collect(),
        })
    }

    /// What an account is to the project, or to a group that it is in.
    async fn association(&self, account: u64) -> Result<Option<Association>, ForgeError> {
        let now = Instant::now();
        if let Some(known) = self.members.get(&account, now) {
            return Ok(known);
        }
        let id = account.to_string();
        let url = ["projects", self.path.as_str(), "members", "all", &id];
        let member = match self.client.one::<Member>(self.client.url(url)).await {
            Err(ForgeError::NotFound { .. }) => Member::default(),
            member => self.client.unless_closed(member.map(|(member, _)| member))?,
        };
        let association = (member.access_level >= WRITES).then_some(Association::Collaborator);
        self.members.put(account, association, now);
        Ok(association)
    }

    fn url(&self, number: &str, below: &[&str]) -> Url {
        let request = ["projects", self.path.as_str(), "merge_requests", number];
        self.client.url(request.into_iter().chain(below.iter().copied()))
    }
}

impl Note {
    fn comment(self, gate: Gate<'_>, members: &Members) -> Option<Comment> {
        let written_at = Timestamp::from_rfc3339(&self.created_at)?;
        let (id, login) =
            self.author.map(|author| (author.id, author.username)).unwrap_or_default();
        let account = match is_token_user(&login) {
            true => Account::Program,
            false => Account::Person(members.get(&id).copied().flatten()),
        };
        let author = gate.author(&login, account, &self.body);
        let kind = match self.kind.as_deref() {
            Some("DiffNote") => CommentKind::Inline,
            _ => CommentKind::Conversation,
        };
        let id = CommentId { kind, number: self.id };
        Some(Comment { id, author, body: self.body, written_at })
    }
}

impl Pipeline {
    fn failure(self) -> Option<FailedCheck> {
        let failed_at = Timestamp::from_rfc3339(self.updated_at.as_deref()?)?;
        let (name, commit, page) = ("pipeline".to_owned(), self.sha, self.web_url);
        (self.status == "failed").then_some(FailedCheck { name, commit, page, failed_at })
    }
}

/// Where no approval is needed GitLab calls everything approved: one must have been given. That a reviewer
/// asks for changes may stand behind another reason why it cannot be merged, or is not known yet: only what
/// can be merged is approved.
fn approval_of(request: &MergeRequest, given: &Approvals) -> Approval {
    let can_be_merged = matches!(request.detailed_merge_status.as_str(), "mergeable" | "");
    match given.approved && !given.approved_by.is_empty() && can_be_merged {
        true => Approval::Given,
        false => Approval::Missing,
    }
}

/// The account that GitLab makes for the token of a project or a group.
fn is_token_user(login: &str) -> bool {
    let after = login.strip_prefix("project_").or_else(|| login.strip_prefix("group_"));
    after.and_then(|rest| rest.split_once("_bot")).is_some_and(|(number, _)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::forge::Author;

    fn note(change: &Value) -> Option<Comment> {
        let mut note = json!({"id": 4, "author": {"id": 1, "username": "ann"}, "body": "Rename it",
            "created_at": "2026-01-31T12:00:00.000Z", "system": false, "type": null});
        for (name, value) in change.as_object().unwrap() {
            note[name] = value.clone();
        }
        let members = Members::from([(1, Some(Association::Collaborator))]);
        let gate = Gate { own: Some("agents"), authors: &ReviewAuthors::default() };
        serde_json::from_value::<Note>(note).unwrap().comment(gate, &members)
    }

    #[test]
    fn a_note_is_a_comment_of_a_kind_and_of_someone() {
        assert_eq!(note(&json!({})).unwrap().id.kind, CommentKind::Conversation);
        assert_eq!(note(&json!({"type": "DiffNote"})).unwrap().id.kind, CommentKind::Inline);
        let of = |id: u64, login: &str| {
            note(&json!({"author": {"id": id, "username": login}})).unwrap().author
        };
        let by = |login| of(1, login);
        assert_eq!(of(2, "eve"), Author::Outsider);
        assert_eq!(by("agents"), Author::Ourselves);
        assert_eq!(by("project_12_bot_a1b2"), Author::Bot);
        assert_eq!(by("project_manager"), Author::Person);
    }

    #[test]
    fn an_approval_must_have_been_given_by_someone() {
        let approval = |status: &str, approvals: Value| {
            let request = json!({"state": "opened", "created_at": "", "head_pipeline": null,
                "detailed_merge_status": status});
            approval_of(
                &serde_json::from_value(request).unwrap(),
                &serde_json::from_value(approvals).unwrap(),
            )
        };
        let given = json!({"approved": true, "approved_by": [{"user": {"username": "ann"}}]});
        assert_eq!(approval("mergeable", given.clone()), Approval::Given);
        assert_eq!(approval("", given.clone()), Approval::Given, "an older GitLab");
        for status in ["requested_changes", "checking", "ci_still_running"] {
            assert_eq!(approval(status, given.clone()), Approval::Missing, "{status}");
        }
        let nobody = json!({"approved": true, "approved_by": []});
        assert_eq!(approval("mergeable", nobody), Approval::Missing);
    }
}
