use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::forge::testing::{Answer, SHA, client, draft, pushed, server};
use crate::forge::{Existing, PullRequestState, open_pull_request};

pub(super) async fn gitea(answers: Vec<Answer>) -> (Gitea, JoinHandle<Vec<String>>) {
    let (url, asked) = server(answers).await;
    let api = client(&url, "api/v1");
    let repository = Repository { api, owner: "acme".into(), name: "shop".into() };
    (Gitea { repository }, asked)
}

fn pull(number: u64, branch: &str, repo: i64) -> Value {
    json!({
        "number": number, "html_url": format!("http://forge/acme/shop/pulls/{number}"),
        "state": "open", "title": "[WIP] Old title", "body": "Body", "draft": true, "merged": false,
        "head": {"ref": branch, "sha": SHA, "repo_id": repo, "label": branch},
        "base": {"ref": "develop", "sha": SHA, "repo_id": 5},
    })
}

const LIST: &str = "GET /api/v1/repos/acme/shop/pulls?limit=50&state=open&sort=recentupdate";
const CREATE: &str = r#"POST /api/v1/repos/acme/shop/pulls {"base":"develop","body":"Body","head":"ticket-1","title":"Title"}"#;
const READ: &str = "GET /api/v1/repos/acme/shop/pulls/7";

#[tokio::test]
async fn a_pull_request_is_opened_and_read_back() {
    let mut to_release = pull(5, "ticket-1", 5);
    to_release["base"]["ref"] = json!("release");
    let answers = vec![
        (200, "", json!([pull(3, "ticket-1", 6), pull(4, "other", 5), to_release])),
        (201, "", pull(7, "ticket-1", 5)),
        (200, "", pull(7, "ticket-1", 5)),
    ];
    let (gitea, asked) = gitea(answers).await;
    let opened =
        open_pull_request(&gitea, &draft(), Existing::Update, pushed()).await.unwrap().request;
    assert_eq!(opened.url, "http://forge/acme/shop/pulls/7");
    assert_eq!((opened.state, opened.readiness), (PullRequestState::Open, Readiness::Draft));
    assert_eq!(asked.await.unwrap(), [LIST, CREATE, READ]);
}

#[tokio::test]
async fn a_branch_on_a_later_page_is_found_and_only_its_body_is_replaced() {
    let next = "link: <http://other/api/v1/repos/acme/shop/pulls?page=2>; rel=\"next\"\r\n";
    let answers = vec![
        (200, next, json!([pull(3, "other", 5)])),
        (200, "", json!([pull(7, "ticket-1", 5)])),
        (201, "", pull(7, "ticket-1", 5)),
        (200, "", pull(7, "ticket-1", 5)),
    ];
    let (gitea, asked) = gitea(answers).await;
    open_pull_request(&gitea, &draft(), Existing::Update, pushed()).await.unwrap();
    let page = "GET /api/v1/repos/acme/shop/pulls?page=2";
    let update = r#"PATCH /api/v1/repos/acme/shop/pulls/7 {"body":"Body"}"#;
    assert_eq!(asked.await.unwrap(), [LIST, page, update, READ]);
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_opens_no_second_pull_request() {
    let exists = json!({"message": "pull request already exists for these targets [id: 1]"});
    let answers = vec![
        (502, "", json!("")),
        (409, "", exists.clone()),
        (200, "", json!([pull(7, "ticket-1", 5)])),
        (409, "", exists),
        (200, "", json!([])),
    ];
    let (gitea, asked) = gitea(answers).await;
    assert_eq!(gitea.create(&draft()).await.unwrap().number, 7);
    let error = gitea.create(&draft()).await.unwrap_err();
    assert!(matches!(error, ForgeError::Refused { status: 409, .. }), "{error}");
    assert_eq!(asked.await.unwrap(), [CREATE, CREATE, LIST, CREATE, LIST]);
}

#[tokio::test]
async fn a_draft_is_told_by_the_title_of_which_the_rest_stays() {
    let answers = vec![
        (200, "", pull(7, "ticket-1", 5)),
        (201, "", pull(7, "ticket-1", 5)),
        (200, "", pull(7, "ticket-1", 5)),
        (201, "", pull(7, "ticket-1", 5)),
        (201, "", pull(7, "ticket-1", 5)),
    ];
    let (gitea, asked) = gitea(answers).await;
    gitea.set_readiness(7, Readiness::Ready).await.unwrap();
    gitea.set_readiness(7, Readiness::DraftUntilChecksPass).await.unwrap();
    gitea.create(&PullRequestDraft { readiness: Readiness::Draft, ..draft() }).await.unwrap();
    let asked = asked.await.unwrap();
    let patch = "PATCH /api/v1/repos/acme/shop/pulls/7";
    assert_eq!(asked[1], format!(r#"{patch} {{"title":"Old title"}}"#));
    assert_eq!(asked[3], format!(r#"{patch} {{"title":"WIP: Old title"}}"#));
    assert!(asked[4].ends_with(r#""title":"WIP: Title"}"#), "{}", asked[4]);
}

#[tokio::test]
async fn labels_are_added_by_number_and_unknown_ones_are_warnings() {
    let answers = vec![
        (200, "", json!([pull(7, "ticket-1", 5)])),
        (200, "", json!([{"id": 11, "name": "agent"}])),
        (200, "", json!([{"id": 12, "name": "of-acme"}])),
        (200, "", json!([])),
        (404, "", json!({"message": "user does not exist [name: stranger]"})),
        (200, "", pull(7, "ticket-1", 5)),
    ];
    let (gitea, asked) = gitea(answers).await;
    let wanted = PullRequestDraft {
        labels: ["agent", "typo", "of-acme"].map(str::to_owned).to_vec(),
        reviewers: vec!["stranger".into()],
        ..draft()
    };
    let kept = open_pull_request(&gitea, &wanted, Existing::Keep, pushed()).await.unwrap();
    assert!(kept.warnings[0].contains("\"typo\""), "{:?}", kept.warnings);
    assert!(kept.warnings[1].contains("user does not exist"), "{:?}", kept.warnings);
    let asked = asked.await.unwrap();
    assert_eq!(asked[1], "GET /api/v1/repos/acme/shop/labels?limit=50");
    assert_eq!(asked[2], "GET /api/v1/orgs/acme/labels?limit=50");
    assert_eq!(asked[3], r#"POST /api/v1/repos/acme/shop/issues/7/labels {"labels":[11,12]}"#);
    let reviewers = r#"/requested_reviewers {"reviewers":["stranger"]}"#;
    assert!(asked[4].ends_with(reviewers), "{}", asked[4]);
}

#[tokio::test]
async fn the_labels_of_a_person_s_repository_are_its_own() {
    let answers = vec![
        (200, "", json!([{"id": 11, "name": "agent"}])),
        (404, "", json!({"message": "user redirect does not exist"})),
        (200, "", json!([])),
    ];
    let (gitea, asked) = gitea(answers).await;
    assert_eq!(gitea.add_labels(7, &["agent".to_owned()]).await.unwrap(), Vec::<String>::new());
    assert_eq!(asked.await.unwrap().len(), 3);
}
