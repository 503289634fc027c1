use serde_json::Value;

use super::*;
use crate::forge::AccountKind;
use crate::forge::gitea::tests::gitea;
use crate::forge::testing::{SHA, pushed};

const REPO: &str = "/api/v1/repos/acme/shop";

fn comment(id: u64, new: u64, old: u64, resolver: &Value) -> Value {
    json!({"id": id, "user": {"login": "Ann"}, "body": "Why?", "path": "a.rs", "position": new,
        "original_position": old, "diff_hunk": "@@", "resolver": resolver})
}

#[tokio::test]
async fn all_that_was_said_is_read_with_who_may_write_and_answered_where_it_stands() {
    let said = json!({"id": 41, "user": {"login": "eve"}, "body": "Hm?", "created_at": "2026"});
    let answers = vec![
        (200, "", json!([{"id": 1, "login": "ann"}])),
        (
            200,
            "",
            json!([
                {"id": 1, "comments_count": 2, "user": {"login": "ann"}, "body": "See below.", "state": "COMMENT"},
                {"id": 2, "comments_count": 0, "body": "Not yet", "state": "PENDING"},
                {"id": 3, "body": "", "state": "COMMENT"}]),
        ),
        (
            200,
            "",
            json!([comment(12, 0, 9, &json!({"login": "ann"})), comment(11, 3, 0, &json!(null))]),
        ),
        (200, "", json!([comment(13, 3, 0, &json!(null))])),
        (200, "", json!([said])),
        (200, "", json!({"id": 4})),
        (200, "", json!({"id": 5})),
        (201, "", json!({"id": 14})),
        (201, "", json!({"id": 15})),
    ];
    let (gitea, asked) = gitea(answers).await;
    let read = gitea.discussion(7).await.unwrap();
    let names: Vec<_> =
        read.iter().map(|one| (one.kind, one.id.as_str(), one.comments.len())).collect();
    let expected = [
        (ThreadKind::Line, "11", 2),
        (ThreadKind::Line, "12", 1),
        (ThreadKind::Review, "1", 1),
        (ThreadKind::Conversation, "41", 1),
    ];
    assert_eq!(names, expected);
    assert_eq!((read[0].state, read[1].state), (ThreadState::Open, ThreadState::Resolved));
    let association = |place: usize| read[place].comments[0].author.association;
    assert_eq!((association(0), association(3)), (Some(Association::Collaborator), None));
    assert_eq!(read[3].comments[0].author.kind, AccountKind::Person);
    for thread in &read {
        gitea.reply(7, thread, "So.").await.unwrap();
    }
    let reply = |line: &str| {
        format!(
            "POST {REPO}/pulls/7/reviews {{\"comments\":[{{\"body\":\"So.\",{line},\"path\":\"a.rs\"}}],\
             \"event\":\"COMMENT\"}}"
        )
    };
    let on_whole = format!(r#"POST {REPO}/issues/7/comments {{"body":"So."}}"#);
    assert_eq!(
        asked.await.unwrap(),
        [
            format!("GET {REPO}/assignees"),
            format!("GET {REPO}/pulls/7/reviews?limit=50"),
            format!("GET {REPO}/pulls/7/reviews/1/comments"),
            format!("GET {REPO}/pulls/7/reviews/3/comments"),
            format!("GET {REPO}/issues/7/comments"),
            reply(r#""new_position":3"#),
            reply(r#""old_position":9"#),
            on_whole.clone(),
            on_whole,
        ]
    );
}

#[tokio::test]
async fn the_checks_of_a_commit_are_its_statuses() {
    let answers = vec![(
        200,
        "",
        json!({"state": "success", "statuses": [
        {"context": "ci / test", "status": "success", "target_url": "", "description": ""},
        {"context": "ci / lint", "status": "failure", "target_url": "http://x", "description": "no"}]}),
    )];
    let (gitea, asked) = gitea(answers).await;
    let checks = gitea.checks(pushed()).await.unwrap();
    assert_eq!((checks[0].state, &checks[0].url), (CheckState::Passed, &None));
    assert_eq!((checks[1].state, checks[1].name.as_str()), (CheckState::Failed, "ci / lint"));
    assert_eq!(checks[1].words.as_deref(), Some("no"));
    let path = format!("GET {REPO}/commits/{SHA}/status?limit=50");
    assert_eq!(asked.await.unwrap(), [path]);
}

#[tokio::test]
async fn reviews_are_read_until_there_are_as_many_as_gitea_counts() {
    let one = |id: u64| json!([{"id": id, "comments_count": 0, "user": {"login": "ann"}, "body": "No", "state": "COMMENT"}]);
    let answers = vec![
        (200, "", json!([{"id": 1, "login": "ann"}])),
        (200, "x-total-count: 2\r\n", one(1)),
        (200, "x-total-count: 2\r\n", one(2)),
        (200, "", json!([])),
    ];
    let (gitea, asked) = gitea(answers).await;
    assert_eq!(gitea.discussion(7).await.unwrap().len(), 2);
    let pages = &asked.await.unwrap()[1..3];
    let reviews = format!("GET {REPO}/pulls/7/reviews?limit=50");
    assert_eq!(pages, [reviews.clone(), format!("{reviews}&page=2")]);
}

/// A failing status of a commit, with its page.
fn failing(context: &str, page: &str) -> Value {
    json!({"context": context, "status": "failure", "target_url": page})
}

fn page_of_job(run: u64, job: u64) -> String {
    format!("/acme/shop/actions/runs/{run}/jobs/{job}")
}

#[tokio::test]
async fn a_failing_check_of_gitea_actions_has_the_log_of_the_job_with_its_page() {
    let elsewhere = "http://ci.example.org/actions/runs/4/jobs/1";
    let on_page = |id: u64, page: &str| json!({"id": id, "html_url": format!("http://git{page}")});
    let passed = json!({"context": "a", "status": "success", "target_url": page_of_job(5, 0)});
    let statuses = json!([failing("b", &page_of_job(4, 1)), failing("c", elsewhere), passed]);
    let runs =
        json!([on_page(70, "/acme/shop/actions/runs/4"), on_page(71, "/acme/shop/actions/runs/5")]);
    let jobs = json!([on_page(911, &page_of_job(4, 11)), on_page(901, &page_of_job(4, 1))]);
    let answers = vec![
        (200, "", json!({ "statuses": statuses })),
        (200, "", json!({ "workflow_runs": runs })),
        (200, "", json!({ "jobs": jobs })),
        (200, "", json!("the end of it")),
    ];
    let (gitea, asked) = gitea(answers).await;
    let checks = gitea.checks(pushed()).await.unwrap();
    assert_eq!(checks.iter().map(|check| check.job).collect::<Vec<_>>(), [Some(901), None, None]);
    assert_eq!(gitea.log_of(&checks[0]).await.unwrap().as_deref(), Some("\"the end of it\""));
    assert_eq!(gitea.log_of(&checks[1]).await.unwrap(), None);
    let expected = [
        format!("GET {REPO}/commits/{SHA}/status?limit=50"),
        format!("GET {REPO}/actions/runs?limit=50&head_sha={SHA}"),
        format!("GET {REPO}/actions/runs/70/jobs?limit=50"),
        format!("GET {REPO}/actions/jobs/901/logs"),
    ];
    assert_eq!(asked.await.unwrap(), expected);
}

#[tokio::test]
async fn a_server_that_does_not_tell_of_jobs_tells_of_checks_all_the_same() {
    let refusals = [401, 403, 404].map(|status| vec![(status, "", json!({"message": "no"}))]);
    // Forgejo tells of runs, and of jobs in another form.
    let run = json!({"id": 70, "html_url": "http://git/acme/shop/actions/runs/4"});
    let runs = || (200, "", json!({ "workflow_runs": [run] }));
    let others =
        [vec![runs(), (200, "", json!([{"id": 901}]))], vec![runs(), (404, "", json!({}))]];
    for more in refusals.into_iter().chain(others) {
        let status = (200, "", json!({"statuses": [failing("b", &page_of_job(4, 1))]}));
        let count = 1 + more.len();
        let (gitea, asked) = gitea([vec![status], more].concat()).await;
        let checks = gitea.checks(pushed()).await.unwrap();
        assert_eq!((checks[0].state, checks[0].job), (CheckState::Failed, None));
        assert_eq!(gitea.log_of(&checks[0]).await.unwrap(), None);
        assert_eq!(asked.await.unwrap().len(), count);
    }
}
