use api_client::Association;
use serde_json::{Value, json};

use super::*;
use crate::forge::github::tests::github;
use crate::forge::review::{AccountKind, Home, Line, Place};
use crate::forge::testing::{SHA, pushed};
use crate::forge::{PullRequestState, ThreadState};

const REPO: &str = "/api/v3/repos/acme/shop";

fn line(id: u64, reply_to: Option<u64>, login: &str) -> Value {
    json!({
        "id": id, "in_reply_to_id": reply_to, "user": {"login": login, "type": "User"},
        "body": "Why?", "path": "src/a.rs", "line": 3, "side": "LEFT", "diff_hunk": "@@ -1 +1 @@\n-x",
        "author_association": "MEMBER", "created_at": "2026-01-01T00:00:00Z",
    })
}

fn threads(nodes: &Value, next: Option<&str>) -> Value {
    let info = json!({"hasNextPage": next.is_some(), "endCursor": next});
    json!({"data": {"repository": {"pullRequest": {
        "reviewThreads": {"nodes": nodes, "pageInfo": info}}}}})
}

fn node(id: &str, resolved: bool) -> Value {
    json!({"isResolved": resolved, "comments": {"nodes": [{"id": id}]}})
}

#[tokio::test]
async fn all_that_was_said_is_read_with_who_said_it_and_what_is_resolved() {
    let next = "link: <http://h/api/v3/x?per_page=100&page=2>; rel=\"next\"\r\n";
    let review = json!({"id": 31, "user": {"login": "ann"}, "body": "Nearly.", "state": "COMMENTED",
        "author_association": "NONE", "submitted_at": "2026-01-02T00:00:00Z"});
    let mut pending = review.clone();
    pending["submitted_at"] = Value::Null;
    let mut wordless = review.clone();
    wordless["body"] = json!(" ");
    let said = json!({"id": 41, "user": {"login": "ci[bot]", "type": "Bot"}, "body": "Coverage",
        "author_association": "CONTRIBUTOR", "created_at": "2026-01-03T00:00:00Z"});
    let answers = vec![
        (200, next, json!([line(11, None, "ann"), line(12, None, "bob")])),
        (200, "", json!([line(13, Some(11), "")])),
        (200, "", threads(&json!([node("12", true)]), Some("abc"))),
        (200, "", threads(&json!([node("11", false)]), None)),
        (200, "", json!([pending, wordless, review])),
        (200, "", json!([said])),
    ];
    let (github, asked) = github(answers).await;
    let read = github.discussion(7).await.unwrap();
    let names: Vec<_> =
        read.iter().map(|one| (one.kind, one.id.as_str(), one.comments.len())).collect();
    let expected = [
        (ThreadKind::Line, "11", 2),
        (ThreadKind::Line, "12", 1),
        (ThreadKind::Review, "31", 1),
        (ThreadKind::Conversation, "41", 1),
    ];
    assert_eq!(names, expected);
    assert_eq!((read[0].state, read[1].state), (ThreadState::Open, ThreadState::Resolved));
    assert_eq!(read[0].place, Some(Place { path: "src/a.rs".into(), line: Some(Line::Old(3)) }));
    assert_eq!(read[0].hunk.as_deref(), Some("@@ -1 +1 @@\n-x"));
    assert_eq!(read[0].comments[0].author.association, Some(Association::Member));
    assert_eq!(read[2].comments[0].author.association, None);
    assert_eq!(read[3].comments[0].author.kind, AccountKind::Bot);
    let asked = asked.await.unwrap();
    assert!(asked[2].starts_with("POST /api/graphql ") && asked[2].contains("fullDatabaseId"));
    assert!(asked[3].contains(r#""after":"abc""#), "{}", asked[3]);
    assert_eq!(asked[5], format!("GET {REPO}/issues/7/comments?per_page=100"));
}

#[tokio::test]
async fn an_older_server_is_asked_for_its_shorter_numbers() {
    let unknown = json!({"data": null, "errors": [{"type": "undefinedField", "message": "no"}]});
    let short = json!([{"isResolved": true, "comments": {"nodes": [{"id": 11}]}}]);
    let (github, asked) = github(vec![(200, "", unknown), (200, "", threads(&short, None))]).await;
    assert_eq!(github.resolved(7).await.unwrap(), BTreeSet::from([11]));
    assert!(asked.await.unwrap()[1].contains("id: databaseId"));
}

#[tokio::test]
async fn a_thread_at_a_line_is_answered_there_and_all_else_on_the_whole() {
    let (github, asked) =
        github(vec![(201, "", json!({"id": 13})), (201, "", json!({"id": 14}))]).await;
    let comment = || serde_json::from_value::<LineComment>(line(11, None, "ann")).unwrap();
    let thread = answer::threads(vec![comment()]).remove(0);
    github.reply(7, &thread, "Because.").await.unwrap();
    let whole = Thread { kind: ThreadKind::Review, ..thread };
    github.reply(7, &whole, "Done.").await.unwrap();
    assert_eq!(
        asked.await.unwrap(),
        [
            format!(r#"POST {REPO}/pulls/7/comments/11/replies {{"body":"Because."}}"#),
            format!(r#"POST {REPO}/issues/7/comments {{"body":"Done."}}"#),
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
async fn the_branch_of_a_fork_is_elsewhere_also_where_the_fork_is_gone() {
    let pull = |repo: Value| {
        json!({"number": 7, "html_url": "http://h/7", "state": "open", "body": null,
            "head": {"ref": "fix", "sha": SHA, "repo": repo},
            "base": {"ref": "main", "sha": SHA, "repo": {"id": 5}}})
    };
    let answers = vec![
        (200, "", pull(json!({"id": 5}))),
        (200, "", pull(json!({"id": 6}))),
        (200, "", pull(Value::Null)),
    ];
    let (github, _asked) = github(answers).await;
    let here = github.reviewed(7).await.unwrap();
    assert_eq!((here.home, here.head.as_str(), here.base.as_str()), (Home::Here, "fix", "main"));
    assert_eq!(here.state, PullRequestState::Open);
    for _ in 0..2 {
        assert_eq!(github.reviewed(7).await.unwrap().home, Home::Elsewhere);
    }
}

#[tokio::test]
async fn a_token_that_is_nobodys_has_no_login() {
    let forbidden = json!({"message": "Resource not accessible by integration"});
    let answers = vec![(200, "", json!({"login": "agent"})), (403, "", forbidden)];
    let (github, _asked) = github(answers).await;
    assert_eq!(github.own_login().await.unwrap().as_deref(), Some("agent"));
    assert_eq!(github.own_login().await.unwrap(), None);
}

#[tokio::test]
async fn checks_of_both_kinds_are_read() {
    let status =
        json!({"context": "ci", "state": "error", "target_url": null, "description": "1 of 9"});
    let run = |name: &str, conclusion: Value, app: &str| {
        json!({"id": 77, "name": name, "conclusion": conclusion, "html_url": null,
            "output": {"title": "2 errors", "summary": null, "text": "in a.rs"}, "app": {"slug": app}})
    };
    let runs =
        [run("lint", Value::Null, "linter"), run("docs", json!("skipped"), "github-actions")];
    let answers = vec![
        (200, "", json!({"state": "pending", "statuses": [status]})),
        (200, "", json!({"total_count": 2, "check_runs": runs})),
    ];
    let (github, asked) = github(answers).await;
    let checks = github.checks(pushed()).await.unwrap();
    let states: Vec<_> = checks.iter().map(|check| check.state).collect();
    assert_eq!(states, [CheckState::Failed, CheckState::Pending, CheckState::Neutral]);
    assert_eq!(checks[0].words.as_deref(), Some("1 of 9"));
    assert_eq!(checks[1].words.as_deref(), Some("2 errors\nin a.rs"));
    assert_eq!((checks[1].job, checks[2].job), (None, Some(77)), "only Actions keep a log");
    let commit = format!("GET {REPO}/commits/{SHA}");
    assert_eq!(
        asked.await.unwrap(),
        [format!("{commit}/status?per_page=100"), format!("{commit}/check-runs?per_page=100"),]
    );
}
