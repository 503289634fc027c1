//! GitHub's answers about a review as values. Pure.

use api_client::Association;
use serde::Deserialize;
use serde_json::Value;

use crate::forge::review::{
    Account, AccountKind, Check, CheckState, Comment, Line, Place, Thread, ThreadKind, ThreadState,
    account_kind,
};

/// A comment at a line.
#[derive(Deserialize)]
pub(super) struct LineComment {
    /// The first comment of the thread, where this is another.
    in_reply_to_id: Option<u64>,
    path: String,
    line: Option<u64>,
    side: Option<String>,
    diff_hunk: Option<String>,
    #[serde(flatten)]
    comment: IssueComment,
}

/// A comment on the whole, and what those at lines have as well.
#[derive(Deserialize)]
pub(super) struct IssueComment {
    id: u64,
    user: Option<User>,
    body: Option<String>,
    #[serde(default)]
    author_association: String,
    #[serde(default)]
    created_at: String,
}

/// A review with its own text.
#[derive(Deserialize)]
pub(super) struct SubmittedReview {
    id: u64,
    user: Option<User>,
    body: Option<String>,
    #[serde(default)]
    author_association: String,
    /// Absent while it is being written.
    submitted_at: Option<String>,
}

#[derive(Deserialize)]
struct User {
    login: String,
    #[serde(default, rename = "type")]
    kind: String,
}

/// What a service says of a commit.
#[derive(Deserialize)]
pub(super) struct Status {
    pub(super) context: String,
    pub(super) state: String,
    pub(super) target_url: Option<String>,
    pub(super) description: Option<String>,
}

/// A check of GitHub Actions, or of another App.
#[derive(Deserialize)]
pub(super) struct Actions {
    id: u64,
    name: String,
    /// Absent until it is over.
    conclusion: Option<String>,
    html_url: Option<String>,
    output: Option<Output>,
    app: Option<App>,
}

#[derive(Deserialize)]
struct Output {
    title: Option<String>,
    summary: Option<String>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct App {
    #[serde(default)]
    slug: String,
}

/// One page of threads, as GraphQL has it.
#[derive(Deserialize)]
pub(super) struct Page {
    data: Value,
}

impl Page {
    fn threads(&self) -> &Value {
        &self.data["repository"]["pullRequest"]["reviewThreads"]
    }

    /// The first comments of those that are resolved.
    pub(super) fn resolved(&self) -> impl Iterator<Item = u64> {
        let nodes = self.threads()["nodes"].as_array().into_iter().flatten();
        nodes.filter(|thread| thread["isResolved"] == true).filter_map(|thread| {
            let id = &thread["comments"]["nodes"][0]["id"];
            id.as_u64().or_else(|| id.as_str()?.parse().ok())
        })
    }

    /// Where the list goes on.
    pub(super) fn next(&self) -> Option<&str> {
        let info = &self.threads()["pageInfo"];
        info["endCursor"].as_str().filter(|_| info["hasNextPage"] == true)
    }
}

impl IssueComment {
    pub(super) fn comment(self) -> Comment {
        Comment {
            id: self.id,
            author: account(self.user, &self.author_association),
            body: self.body.unwrap_or_default(),
            at: self.created_at,
        }
    }
}

impl SubmittedReview {
    /// Its text, where it is submitted and has one.
    pub(super) fn comment(self) -> Option<Comment> {
        let (at, body) = (self.submitted_at?, self.body?);
        let author = account(self.user, &self.author_association);
        (!body.trim().is_empty()).then_some(Comment { id: self.id, author, body, at })
    }
}

impl Actions {
    pub(super) fn check(self) -> Check {
        let of_actions = self.app.is_some_and(|app| app.slug == "github-actions");
        let words = self.output.map(|output| {
            let parts = [output.title, output.summary, output.text];
            parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
        });
        Check {
            name: self.name,
            state: self.conclusion.as_deref().map_or(CheckState::Pending, CheckState::of_word),
            url: self.html_url,
            words: words.filter(|words| !words.trim().is_empty()),
            // A check of Actions has the number of the job that it is.
            job: of_actions.then_some(self.id),
        }
    }
}

/// The threads of these comments, each in the place of its first.
pub(super) fn threads(comments: Vec<LineComment>) -> Vec<Thread> {
    let mut threads: Vec<Thread> = Vec::new();
    for one in comments {
        let id = one.in_reply_to_id.unwrap_or(one.comment.id).to_string();
        if let Some(thread) = threads.iter_mut().find(|thread| thread.id == id) {
            thread.comments.push(one.comment.comment());
            continue;
        }
        let line = match one.side.as_deref() {
            Some("LEFT") => Line::of_numbers(one.line, None),
            _ => Line::of_numbers(None, one.line),
        };
        threads.push(Thread {
            kind: ThreadKind::Line,
            id,
            address: None,
            place: Some(Place { path: one.path, line }),
            hunk: one.diff_hunk.filter(|hunk| !hunk.is_empty()),
            state: ThreadState::Open,
            comments: vec![one.comment.comment()],
        });
    }
    threads
}

fn account(user: Option<User>, association: &str) -> Account {
    let (login, kind) = user.map(|user| (user.login, user.kind)).unwrap_or_default();
    let kind = if kind == "Bot" { AccountKind::Bot } else { account_kind(&login) };
    Account { login, kind, association: Association::of_word(association) }
}
