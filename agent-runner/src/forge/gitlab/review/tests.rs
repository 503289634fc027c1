use serde_json::{Value, json};

use super::*;
use crate::forge::AccountKind;
use crate::forge::gitlab::tests::gitlab;
use crate::forge::testing::{SHA, pushed};

const PROJECT: &str = "/api/v4/projects/acme%2Fweb%2Fshop";

fn note(id: u64, author: (u64, &str), position: &Value) -> Value {
    json!({"id": id, "author": {"id": author.0, "username": author.1}, "body": "Why?",
        "created_at": "2026", "position": position, "system": false, "resolved": id == 6})
}

#[tokio::test]
async fn all_that_was_said_is_read_with_who_may_write_and_answered_where_it_stands() {
    let position =
        || json!({"new_path": "a.rs", "old_path": "a.rs", "new_line": null, "old_line": 4});
    let mut pushed = note(1, (7, "ann"), &json!(null));
    pushed["system"] = json!(true);
    let mut internal = note(20, (7, "ann"), &json!(null));
    internal["internal"] = json!(true);
    let (ann, eve, bot) = ((7, "ann"), (8, "eve"), (9, "project_3_bot"));
    let answers = vec![
        (
            200,
            "x-next-page: 2\r\n",
            json!([{"id": "d0", "individual_note": true, "notes": [pushed]}]),
        ),
        (
            200,
            "x-next-page: \r\n",
            json!([
                {"id": "d1", "individual_note": false,
                 "notes": [note(2, ann, &position()), note(3, eve, &position())]},
                {"id": "d2", "individual_note": true, "notes": [note(4, bot, &json!(null))]},
                {"id": "d3", "individual_note": false, "notes": [note(5, ann, &json!(null))]},
                {"id": "d5", "individual_note": true, "notes": [internal]},
                {"id": "d4", "individual_note": false, "notes": [note(6, ann, &position())]}]),
        ),
        (200, "", json!({"access_level": 30})),
        (200, "", json!({"access_level": 20})),
        (404, "", json!({"message": "404 Not found"})),
        (201, "", json!({"id": 7})),
        (201, "", json!({"id": 8})),
        (201, "", json!({"id": 9})),
    ];
    let (gitlab, asked) = gitlab(answers).await;
    let read = gitlab.discussion(7).await.unwrap();
    let names: Vec<_> = read.iter().map(|one| (one.kind, one.id.as_str(), one.state)).collect();
    let expected = [
        (ThreadKind::Line, "d1", ThreadState::Open),
        (ThreadKind::Conversation, "4", ThreadState::Open),
        (ThreadKind::Conversation, "5", ThreadState::Open),
        (ThreadKind::Line, "d4", ThreadState::Resolved),
    ];
    assert_eq!(names, expected);
    assert_eq!(read[0].place, Some(Place { path: "a.rs".into(), line: Some(Line::Old(4)) }));
    let associations: Vec<_> =
        read[0].comments.iter().map(|comment| comment.author.association).collect();
    assert_eq!(associations, [Some(Association::Collaborator), None], "a reporter may not write");
    assert_eq!(read[1].comments[0].author.kind, AccountKind::Bot);
    gitlab.reply(7, &read[0], "So.\n/merge").await.unwrap();
    gitlab.reply(7, &read[1], "/approve").await.unwrap();
    gitlab.reply(7, &read[2], "So.").await.unwrap();
    let request = format!("POST {PROJECT}/merge_requests/7");
    assert_eq!(
        asked.await.unwrap()[2..],
        [
            format!("GET {PROJECT}/members/all/7"),
            format!("GET {PROJECT}/members/all/8"),
            format!("GET {PROJECT}/members/all/9"),
            format!(r#"{request}/discussions/d1/notes {{"body":"So.\n\\/merge"}}"#),
            format!(r#"{request}/notes {{"body":"\\/approve"}}"#),
            format!(r#"{request}/discussions/d3/notes {{"body":"So."}}"#),
        ]
    );
}

#[tokio::test]
async fn the_checks_of_a_commit_are_its_statuses_and_a_job_has_a_log() {
    let status = |name: &str, status: &str| json!({"id": 5, "name": name, "status": status});
    let answers = vec![
        (
            200,
            "",
            json!([
                status("test", "success"),
                status("lint", "failed"),
                status("deploy", "manual"),
                status("docs", "running"),
                {"id": 6, "name": "nightly", "status": "failed", "allow_failure": true}
            ]),
        ),
        (200, "", json!("the end of it")),
        (404, "", json!({"message": "404 Not found"})),
    ];
    let (gitlab, asked) = gitlab(answers).await;
    let checks = gitlab.checks(pushed()).await.unwrap();
    let states: Vec<_> = checks.iter().map(|check| check.state).collect();
    use CheckState::{Failed, Neutral, Passed, Pending};
    assert_eq!(states, [Passed, Failed, Neutral, Pending, Neutral]);
    assert_eq!(gitlab.log_of(&checks[1]).await.unwrap().as_deref(), Some("\"the end of it\""));
    assert_eq!(gitlab.log_of(&checks[1]).await.unwrap(), None);
    let path = format!("GET {PROJECT}/repository/commits/{SHA}/statuses?per_page=100");
    let log = format!("GET {PROJECT}/jobs/5/trace");
    assert_eq!(asked.await.unwrap(), [path, log.clone(), log]);
}
