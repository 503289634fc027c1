use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::forge::testing::{Answer, SHA, client, draft, pushed, server};
use crate::forge::{Existing, open_pull_request};

pub(super) async fn github(answers: Vec<Answer>) -> (GitHub, JoinHandle<Vec<String>>) {
    let (url, asked) = server(answers).await;
    let api = client(&url, "api/v3");
    let repository = Repository { api, owner: "acme".into(), name: "shop".into() };
    (GitHub { repository }, asked)
}

fn pull(state: &str, sha: &str) -> Value {
    json!({
        "number": 7, "html_url": "http://forge/acme/shop/pull/7", "state": state,
        "head": {"ref": "ticket-1", "sha": sha, "label": "acme:ticket-1", "repo": {"id": 5}},
        "base": {"ref": "develop", "sha": SHA, "label": "acme:develop", "repo": {"id": 5}},
        "node_id": "PR_7", "draft": false, "body": "Body",
    })
}

const LIST: &str = "GET /api/v3/repos/acme/shop/pulls?head=acme%3Aticket-1&state=open&per_page=100";
const CREATE: &str = r#"POST /api/v3/repos/acme/shop/pulls {"base":"develop","body":"Body","head":"ticket-1","title":"Title"}"#;
const READ: &str = "GET /api/v3/repos/acme/shop/pulls/7";

#[tokio::test]
async fn a_pull_request_is_opened_against_the_default_branch_and_read_back() {
    let answers =
        vec![(200, "", json!([])), (201, "", pull("open", SHA)), (200, "", pull("open", SHA))];
    let (github, asked) = github(answers).await;
    let opened = open_pull_request(&github, &draft(), Existing::Update, pushed()).await.unwrap();
    assert_eq!(opened.request.number, 7);
    assert_eq!(asked.await.unwrap(), [LIST, CREATE, READ]);
}

#[tokio::test]
async fn an_open_pull_request_gets_a_new_body_and_keeps_its_title() {
    let older = "2".repeat(40);
    let answers = vec![
        (200, "", json!([pull("open", &older)])),
        (200, "", pull("open", &older)),
        (200, "", pull("open", SHA)),
    ];
    let (github, asked) = github(answers).await;
    let updated = open_pull_request(&github, &draft(), Existing::Update, pushed()).await.unwrap();
    assert_eq!(updated.request.head_sha, SHA);
    let update = r#"PATCH /api/v3/repos/acme/shop/pulls/7 {"body":"Body"}"#;
    assert_eq!(asked.await.unwrap(), [LIST, update, READ]);
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_opens_no_second_pull_request() {
    let exists = json!({"message": "Validation Failed", "errors": [
        {"resource": "PullRequest", "code": "custom",
         "message": "A pull request already exists for acme:ticket-1."}]});
    let answers = vec![
        (502, "", json!("bad gateway")),
        (422, "", exists),
        (200, "", json!([pull("open", SHA)])),
    ];
    let (github, asked) = github(answers).await;
    assert_eq!(github.create(&draft()).await.unwrap().number, 7);
    assert_eq!(asked.await.unwrap(), [CREATE, CREATE, LIST]);
}

#[tokio::test]
async fn a_pull_request_that_is_closed_meanwhile_is_not_delivered() {
    let answers =
        vec![(200, "", json!([])), (201, "", pull("open", SHA)), (200, "", pull("closed", SHA))];
    let (github, asked) = github(answers).await;
    let error = open_pull_request(&github, &draft(), Existing::Update, pushed()).await.unwrap_err();
    assert!(matches!(error, ForgeError::NotVerified { .. }), "{error}");
    assert!(error.to_string().contains("closed"), "{error}");
    asked.await.unwrap();
}

#[tokio::test]
async fn a_pull_request_of_work_that_was_pushed_before_is_confirmed_and_left_alone() {
    let answers = vec![(200, "", json!([pull("open", SHA)])), (200, "", pull("open", SHA))];
    let (github, asked) = github(answers).await;
    let kept = open_pull_request(&github, &draft(), Existing::Keep, pushed()).await.unwrap();
    assert_eq!(kept.request.number, 7);
    assert_eq!(asked.await.unwrap(), [LIST, READ]);
}

#[tokio::test]
async fn where_there_are_no_drafts_the_pull_request_is_opened_all_the_same() {
    let refused = json!({"message": "Draft pull requests are not supported in this repository."});
    let answers = vec![
        (200, "", json!([])),
        (422, "", refused),
        (201, "", pull("open", SHA)),
        (200, "", pull("open", SHA)),
    ];
    let (github, asked) = github(answers).await;
    let wanted = PullRequestDraft { readiness: Readiness::Draft, ..draft() };
    let opened = open_pull_request(&github, &wanted, Existing::Update, pushed()).await.unwrap();
    assert!(opened.warnings[0].contains("not supported"), "{:?}", opened.warnings);
    let asked = asked.await.unwrap();
    assert!(asked[1].contains(r#""draft":true"#), "{asked:?}");
    assert_eq!(asked[2], CREATE);
}

#[tokio::test]
async fn a_draft_for_its_checks_becomes_one_and_ready_again_by_graphql() {
    let done = json!({"data": {"x": {"pullRequest": {"isDraft": true}}}});
    let answers = vec![
        (200, "", pull("open", SHA)),
        (200, "", done.clone()),
        (200, "", pull("open", SHA)),
        (200, "", done),
        (200, "", pull("open", SHA)),
        (200, "", json!({"errors": [{"type": "FORBIDDEN", "message": "not yours"}]})),
    ];
    let (github, asked) = github(answers).await;
    github.set_readiness(7, Readiness::DraftUntilChecksPass).await.unwrap();
    github.set_readiness(7, Readiness::Ready).await.unwrap();
    let error = github.set_readiness(7, Readiness::Ready).await.unwrap_err();
    assert!(error.to_string().contains("FORBIDDEN; not yours"), "{error}");
    let asked = asked.await.unwrap();
    assert_eq!(asked[0], READ);
    assert!(asked[1].starts_with("POST /api/graphql {"), "{}", asked[1]);
    assert!(asked[1].contains("convertPullRequestToDraft") && asked[1].contains("PR_7"));
    assert!(asked[3].contains("markPullRequestReadyForReview"), "{}", asked[3]);
}

/// A draft that a run made one for its checks.
fn draft_of_ours() -> Value {
    let of_checks = PullRequestDraft { readiness: Readiness::DraftUntilChecksPass, ..draft() };
    let mut pull = pull("open", SHA);
    pull["draft"] = json!(true);
    pull["body"] = json!(of_checks.body());
    pull
}

#[tokio::test]
async fn a_draft_of_ours_loses_its_mark_only_once_it_is_none() {
    let done = json!({"data": {"x": {"pullRequest": {"isDraft": false}}}});
    let answers = vec![
        (200, "", json!([draft_of_ours()])),
        (200, "", draft_of_ours()),
        (200, "", done),
        (200, "", pull("open", SHA)),
        (200, "", pull("open", SHA)),
    ];
    let (github, asked) = github(answers).await;
    let opened = open_pull_request(&github, &draft(), Existing::Update, pushed()).await.unwrap();
    assert_eq!(opened.warnings, Vec::<String>::new());
    let asked = asked.await.unwrap();
    assert!(asked[2].contains("markPullRequestReadyForReview"), "{asked:?}");
    assert_eq!(asked[3], r#"PATCH /api/v3/repos/acme/shop/pulls/7 {"body":"Body"}"#);
}

#[tokio::test]
async fn a_draft_of_ours_that_cannot_be_made_ready_keeps_its_mark_and_that_is_told() {
    let refused = json!({"errors": [{"type": "FORBIDDEN", "message": "not yours"}]});
    let answers = vec![
        (200, "", json!([draft_of_ours()])),
        (200, "", draft_of_ours()),
        (200, "", refused),
        (200, "", draft_of_ours()),
        (200, "", draft_of_ours()),
    ];
    let (github, asked) = github(answers).await;
    let opened = open_pull_request(&github, &draft(), Existing::Update, pushed()).await.unwrap();
    assert_eq!(opened.request.readiness, Readiness::DraftUntilChecksPass);
    assert!(opened.warnings[0].contains("not yours"), "{:?}", opened.warnings);
    assert!(opened.warnings[1].contains("still shown as a draft"), "{:?}", opened.warnings);
    let asked = asked.await.unwrap();
    assert!(
        asked[3].starts_with("PATCH") && asked[3].contains("until the checks pass"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn work_that_fails_its_checks_and_is_shown_as_ready_is_told_as_such() {
    let refused = json!({"errors": [{"type": "FORBIDDEN", "message": "not yours"}]});
    let answers = vec![
        (200, "", json!([pull("open", SHA)])),
        (200, "", pull("open", SHA)),
        (200, "", pull("open", SHA)),
        (200, "", refused),
        (200, "", pull("open", SHA)),
    ];
    let (github, asked) = github(answers).await;
    let failing = PullRequestDraft { readiness: Readiness::DraftUntilChecksPass, ..draft() };
    let opened = open_pull_request(&github, &failing, Existing::Update, pushed()).await.unwrap();
    let told = opened.warnings.last().unwrap();
    assert!(told.contains("ready for review, not as a draft"), "{told}");
    // The mark is there before it is a draft.
    assert!(asked.await.unwrap()[1].starts_with("PATCH"));
}

#[tokio::test]
async fn a_pull_request_that_a_person_points_elsewhere_is_not_delivered() {
    let mut elsewhere = pull("open", SHA);
    elsewhere["base"]["ref"] = json!("release");
    let answers = vec![
        // Not ours to begin with …
        (200, "", json!([elsewhere.clone()])),
        (201, "", pull("open", SHA)),
        // … and no more.
        (200, "", elsewhere),
    ];
    let (github, asked) = github(answers).await;
    let error = open_pull_request(&github, &draft(), Existing::Update, pushed()).await.unwrap_err();
    assert!(error.to_string().contains("open to release at"), "{error}");
    assert_eq!(asked.await.unwrap(), [LIST, CREATE, READ]);
}

#[tokio::test]
async fn labels_and_reviewers_that_cannot_be_had_are_warnings() {
    let missing = json!({"message": "Not Found"});
    let answers = vec![
        (200, "", json!([pull("open", SHA)])),
        (200, "", json!({"id": 1, "name": "by agent"})),
        (404, "", missing),
        (200, "", json!([])),
        (422, "", json!({"message": "Reviews may only be requested from collaborators."})),
        (201, "", json!({})),
        (200, "", pull("open", SHA)),
    ];
    let (github, asked) = github(answers).await;
    let wanted = PullRequestDraft {
        labels: vec!["by agent".into(), "typo".into()],
        reviewers: vec!["stranger".into(), "@acme/core".into()],
        ..draft()
    };
    let kept = open_pull_request(&github, &wanted, Existing::Keep, pushed()).await.unwrap();
    assert_eq!(kept.warnings.len(), 2, "{:?}", kept.warnings);
    assert!(kept.warnings[0].contains("\"typo\""), "{:?}", kept.warnings);
    assert!(
        kept.warnings[1].contains("\"stranger\"") && kept.warnings[1].contains("collaborators")
    );
    let repo = "/api/v3/repos/acme/shop";
    assert_eq!(
        asked.await.unwrap()[1..6],
        [
            format!("GET {repo}/labels/by%20agent"),
            format!("GET {repo}/labels/typo"),
            format!(r#"POST {repo}/issues/7/labels {{"labels":["by agent"]}}"#),
            format!(r#"POST {repo}/pulls/7/requested_reviewers {{"reviewers":["stranger"]}}"#),
            format!(r#"POST {repo}/pulls/7/requested_reviewers {{"team_reviewers":["core"]}}"#),
        ]
    );
}

#[tokio::test]
async fn labels_that_the_token_may_not_set_fail_no_delivery() {
    let answers = vec![
        (200, "", json!([pull("open", SHA)])),
        (403, "", json!({"message": "Resource not accessible"})),
        (200, "", pull("open", SHA)),
    ];
    let (github, asked) = github(answers).await;
    let wanted = PullRequestDraft { labels: vec!["x".into()], ..draft() };
    let kept = open_pull_request(&github, &wanted, Existing::Keep, pushed()).await.unwrap();
    assert!(kept.warnings[0].starts_with("no labels were added: "), "{:?}", kept.warnings);
    assert_eq!(asked.await.unwrap().len(), 3);
}

#[test]
fn the_api_of_a_repository_is_where_its_forge_has_it() {
    let urls = |repo: &str, api: Option<&str>| {
        let api = api.map(|api| Url::parse(api).unwrap());
        let token = TokenSource::fixed("t");
        GitHub::new(&repo.parse().unwrap(), api.as_ref(), token, CancellationToken::new())
            .map(|g| (g.repository.url(&["pulls"]).to_string(), g.graphql().to_string()))
    };
    for (repo, api, pulls, graphql) in [
        (
            "https://github.com/o/r.git",
            None,
            "https://api.github.com/repos/o/r/pulls",
            "https://api.github.com/graphql",
        ),
        (
            "https://ghe.example:8443/o/r",
            None,
            "https://ghe.example:8443/api/v3/repos/o/r/pulls",
            "https://ghe.example:8443/api/graphql",
        ),
        (
            "https://github.com/o/r",
            Some("http://h/api/"),
            "http://h/api/repos/o/r/pulls",
            "http://h/api/graphql",
        ),
    ] {
        assert_eq!(urls(repo, api).unwrap(), (pulls.to_owned(), graphql.to_owned()));
    }
    let error = urls("https://forge.example/r", None).unwrap_err();
    assert!(error.to_string().contains("/owner/name"), "{error}");
}
