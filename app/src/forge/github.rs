//! GitHub's API: a pull request is an issue too, and has comments of three kinds, each with numbers of
//! its own.

use api_client::{Association, ReviewAuthors};
use serde::Deserialize;
use url::Url;

use super::client::Client;
use super::verdict::{Verdict, approval};
use super::{
    Account, Approval, Author, Comment, CommentId, CommentKind, Conversation, FailedCheck,
    ForgeError, Gate, Pull, PullState,
};
use crate::clock::Timestamp;

/// A repository on GitHub.
#[derive(Debug)]
pub(crate) struct GitHub {
    client: Client,
    path: Vec<String>,
}

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
    #[serde(rename = "type", default)]
    kind: String,
}

/// A comment of the conversation or on a line, or a review.
#[derive(Deserialize)]
struct Entry {
    id: u64,
    user: Option<User>,
    body: Option<String>,
    #[serde(default)]
    author_association: String,
    created_at: Option<String>,
    /// Of a review: absent while it is not handed in.
    submitted_at: Option<String>,
    /// Of a review.
    #[serde(default)]
    state: String,
    /// Of a review: the commit that was looked at; absent once that is gone.
    commit_id: Option<String>,
}

#[derive(Deserialize)]
struct CheckRuns {
    check_runs: Vec<CheckRun>,
}

#[derive(Deserialize)]
struct CheckRun {
    name: String,
    conclusion: Option<String>,
    html_url: Option<String>,
    completed_at: Option<String>,
}

#[derive(Deserialize)]
struct Statuses {
    statuses: Vec<Status>,
}

#[derive(Deserialize)]
struct Status {
    context: String,
    state: String,
    target_url: Option<String>,
    updated_at: Option<String>,
}

impl GitHub {
    pub(super) fn new(client: Client, path: &str) -> Self {
        let path = path.split('/').map(str::to_owned).collect();
        Self { client, path }
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
        let read = |below: &[&str]| self.client.all::<Entry>(full_pages(self.url(below)));
        let conversation = read(&["issues", number, "comments"]).await?;
        let inline = read(&["pulls", number, "comments"]).await?;
        let reviews = read(&["pulls", number, "reviews"]).await?;
        let approval = approval_of(&reviews, head, gate.own);
        let reviews = reviews.into_iter().filter(|review| review.says_something());
        let comments = conversation.into_iter().map(|entry| (CommentKind::Conversation, entry));
        let comments = comments
            .chain(inline.into_iter().map(|entry| (CommentKind::Inline, entry)))
            .chain(reviews.map(|entry| (CommentKind::Review, entry)));
        let comments = comments.filter_map(|(kind, entry)| entry.comment(kind, gate)).collect();
        Ok(Conversation { approval, comments, failing: self.failing(head).await? })
    }

    /// Both kinds of checks: those of GitHub Actions and Apps, and those that services report.
    async fn failing(&self, head: &str) -> Result<Vec<FailedCheck>, ForgeError> {
        let runs = full_pages(self.url(&["commits", head, "check-runs"]));
        let runs = self.client.pages(runs, |page: CheckRuns| page.check_runs).await;
        let statuses = full_pages(self.url(&["commits", head, "status"]));
        let statuses = self.client.pages(statuses, |page: Statuses| page.statuses).await;
        let runs = self.client.unless_closed(runs)?.into_iter().filter_map(|run| {
            let ended = run.conclusion.filter(|word| is_failure(word)).and(run.completed_at)?;
            failed_check(run.name, head, run.html_url, &ended)
        });
        let statuses = self.client.unless_closed(statuses)?.into_iter().filter_map(|status| {
            let ended = Some(status.state).filter(|word| is_failure(word));
            let ended = ended.and(status.updated_at)?;
            failed_check(status.context, head, status.target_url, &ended)
        });
        Ok(runs.chain(statuses).collect())
    }

    fn url(&self, below: &[&str]) -> Url {
        let path = self.path.iter().map(String::as_str);
        self.client.url(["repos"].into_iter().chain(path).chain(below.iter().copied()))
    }
}

impl Entry {
    fn login(&self) -> &str {
        self.user.as_ref().map_or("", |user| &user.login)
    }

    /// Whether a review has words that ask for something; those of one that approves do not.
    fn says_something(&self) -> bool {
        let asks = matches!(self.state.as_str(), "COMMENTED" | "CHANGES_REQUESTED");
        asks && self.body.as_ref().is_some_and(|body| !body.trim().is_empty())
    }

    fn author(&self, gate: Gate<'_>) -> Author {
        let account = match self.user.as_ref().map(|user| user.kind.as_str()) {
            Some("Bot") => Account::Program,
            _ => Account::Person(Association::of_word(&self.author_association)),
        };
        gate.author(self.login(), account, self.body.as_deref().unwrap_or(""))
    }

    fn comment(self, kind: CommentKind, gate: Gate<'_>) -> Option<Comment> {
        let written_at = self.submitted_at.as_ref().or(self.created_at.as_ref())?;
        let written_at = Timestamp::from_rfc3339(written_at)?;
        let author = self.author(gate);
        let id = CommentId { kind, number: self.id };
        Some(Comment { id, author, body: self.body.unwrap_or_default(), written_at })
    }
}

/// Anyone may review a public repository: only verdicts of the project's people count, whoever may start jobs,
/// and who approved older commits has not seen the newest one.
fn approval_of(reviews: &[Entry], head: &str, own: Option<&str>) -> Approval {
    let gate = Gate { own, authors: &ReviewAuthors::default() };
    let of_people = reviews.iter().filter(|review| review.author(gate) == Author::Person);
    approval(of_people.filter_map(|review| {
        let verdict = match review.state.as_str() {
            "APPROVED" if review.commit_id.as_deref() == Some(head) => Verdict::Approves,
            "CHANGES_REQUESTED" => Verdict::AsksForChanges,
            "APPROVED" | "DISMISSED" => Verdict::Withdrawn,
            _ => return None,
        };
        Some((review.login(), verdict))
    }))
}

fn full_pages(mut url: Url) -> Url {
    url.query_pairs_mut().append_pair("per_page", "100");
    url
}

fn is_failure(word: &str) -> bool {
    matches!(word, "failure" | "error" | "timed_out" | "startup_failure")
}

fn failed_check(
    name: String,
    commit: &str,
    page: Option<String>,
    ended: &str,
) -> Option<FailedCheck> {
    let failed_at = Timestamp::from_rfc3339(ended)?;
    Some(FailedCheck { name, commit: commit.to_owned(), page, failed_at })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(login: &str, kind: &str, association: &str, body: &str) -> Entry {
        serde_json::from_value(json!({
            "id": 7, "user": {"login": login, "type": kind}, "body": body,
            "author_association": association, "created_at": "2026-01-31T12:00:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn authors_are_told_apart_by_their_association() {
        let author = |login, kind, association| {
            let comment = entry(login, kind, association, "rename it");
            let gate = Gate { own: Some("agents"), authors: &ReviewAuthors::default() };
            comment.comment(CommentKind::Inline, gate).unwrap().author
        };
        for association in ["OWNER", "MEMBER", "COLLABORATOR"] {
            assert_eq!(author("ann", "User", association), Author::Person, "{association}");
        }
        for association in ["NONE", "CONTRIBUTOR", "FIRST_TIME_CONTRIBUTOR", ""] {
            assert_eq!(author("eve", "User", association), Author::Outsider, "{association}");
        }
        assert_eq!(author("renovate[bot]", "Bot", "MEMBER"), Author::Bot);
        assert_eq!(author("agents", "User", "OWNER"), Author::Ourselves);
    }

    #[test]
    fn only_members_approve_and_only_words_that_ask_are_comments() {
        let review = |login, association, state: &str, body| {
            let mut review = entry(login, "User", association, body);
            state.clone_into(&mut review.state);
            review.commit_id = Some("c2".to_owned());
            review
        };
        let approving = |association| review("ann", association, "APPROVED", "fine!");
        let of = |reviews: &[Entry]| approval_of(reviews, "c2", Some("agents"));
        assert_eq!(of(&[approving("NONE")]), Approval::Missing);
        assert_eq!(of(&[approving("MEMBER")]), Approval::Given);
        assert_eq!(approval_of(&[approving("MEMBER")], "c3", None), Approval::Missing, "pushed");
        let own = review("agents", "MEMBER", "APPROVED", "fine!");
        assert_eq!(of(&[own]), Approval::Missing, "nobody but the agent");
        assert!(!approving("MEMBER").says_something());
        assert!(review("ann", "MEMBER", "CHANGES_REQUESTED", "Rename it").says_something());
        assert!(!review("ann", "MEMBER", "COMMENTED", "  ").says_something());
    }
}
