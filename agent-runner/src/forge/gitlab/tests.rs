use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::forge::testing::{Answer, SHA, client, draft, pushed, server};
use crate::forge::{Existing, PullRequestState, open_pull_request};

pub(super) async fn gitlab(answers: Vec<Answer>) -> (GitLab, JoinHandle<Vec<String>>) {
    let (url, asked) = server(answers).await;
    (GitLab { api: client(&url, "api/v4"), project: "acme/web/shop".into() }, asked)
}

fn request(state: &str, sha: &Value) -> Value {
    json!({
        "iid": 7, "id": 1234, "web_url": "http://forge/acme/web/shop/-/merge_requests/7",
        "state": state, "title": "Draft: Old title", "description": "Body", "draft": true,
        "sha": sha, "source_branch": "ticket-1", "target_branch": "develop",
        "source_project_id": 5, "target_project_id": 5, "reviewers": [{"id": 1, "username": "ann"}],
    })
}

fn opened() -> Value {
    request("opened", &json!(SHA))
}

const PROJECT: &str = "/api/v4/projects/acme%2Fweb%2Fshop";
const LIST: &str = "GET /api/v4/projects/acme%2Fweb%2Fshop/merge_requests?source_branch=ticket-1&state=opened&per_page=100";
const READ: &str = "GET /api/v4/projects/acme%2Fweb%2Fshop/merge_requests/7";
const PUT: &str = "PUT /api/v4/projects/acme%2Fweb%2Fshop/merge_requests/7";

fn create() -> String {
    format!(
        "POST {PROJECT}/merge_requests \
         {{\"description\":\"Body\",\"source_branch\":\"ticket-1\",\"target_branch\":\"develop\",\
         \"title\":\"Title\"}}"
    )
}

#[tokio::test]
async fn a_merge_request_is_opened_in_a_subgroup_and_read_back() {
    let mut of_fork = opened();
    of_fork["source_project_id"] = json!(6);
    let mut to_release = opened();
    to_release["target_branch"] = json!("release");
    let answers = vec![
        (200, "", json!([of_fork, to_release])),
        // GitLab looks at the branch a little later.
        (201, "", request("opened", &Value::Null)),
        (200, "", opened()),
    ];
    let (gitlab, asked) = gitlab(answers).await;
    let opened =
        open_pull_request(&gitlab, &draft(), Existing::Update, pushed()).await.unwrap().request;
    assert_eq!((opened.number, opened.head_sha.as_str()), (7, SHA));
    assert_eq!((opened.state, opened.readiness), (PullRequestState::Open, Readiness::Draft));
    assert_eq!(asked.await.unwrap(), [LIST, create().as_str(), READ]);
}

#[tokio::test]
async fn an_open_merge_request_gets_a_new_description_and_nothing_in_it_is_carried_out() {
    let answers = vec![(200, "", json!([opened()])), (200, "", opened()), (200, "", opened())];
    let (gitlab, asked) = gitlab(answers).await;
    let wanted = PullRequestDraft { body: "Done\n/merge".into(), ..draft() };
    open_pull_request(&gitlab, &wanted, Existing::Update, pushed()).await.unwrap();
    let update = format!(r#"{PUT} {{"description":"Done\n\\/merge"}}"#);
    assert_eq!(asked.await.unwrap(), [LIST, update.as_str(), READ]);
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_opens_no_second_merge_request() {
    let exists = json!({"message":
        ["Another open merge request already exists for this source branch: !7"]});
    let answers = vec![(502, "", json!("")), (409, "", exists), (200, "", json!([opened()]))];
    let (gitlab, asked) = gitlab(answers).await;
    assert_eq!(gitlab.create(&draft()).await.unwrap().number, 7);
    assert_eq!(asked.await.unwrap(), [create().as_str(), create().as_str(), LIST]);
}

#[tokio::test]
async fn a_merge_request_that_is_merged_meanwhile_is_not_delivered() {
    for state in ["merged", "closed", "locked"] {
        let answers = vec![(200, "", json!([opened()])), (200, "", request(state, &json!(SHA)))];
        let (gitlab, _asked) = gitlab(answers).await;
        let error =
            open_pull_request(&gitlab, &draft(), Existing::Keep, pushed()).await.unwrap_err();
        assert!(matches!(error, ForgeError::NotVerified { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_draft_is_told_by_the_title_of_which_the_rest_stays() {
    let answers = vec![(200, "", opened()), (200, "", opened()), (201, "", opened())];
    let (gitlab, asked) = gitlab(answers).await;
    gitlab.set_readiness(7, Readiness::Ready).await.unwrap();
    let wanted = PullRequestDraft { readiness: Readiness::DraftUntilChecksPass, ..draft() };
    gitlab.create(&wanted).await.unwrap();
    let asked = asked.await.unwrap();
    assert_eq!(asked[1], format!(r#"{PUT} {{"title":"Old title"}}"#));
    assert!(asked[2].ends_with(r#""title":"Draft: Title"}"#), "{}", asked[2]);
}

#[tokio::test]
async fn labels_and_reviewers_that_cannot_be_had_are_warnings() {
    let mut one = opened();
    one["reviewers"] = json!([{"id": 2, "username": "bob"}]);
    let answers = vec![
        (200, "", json!([opened()])),
        (200, "", json!({"id": 1, "name": "agent"})),
        (404, "", json!({"message": "404 Label Not Found"})),
        (200, "", opened()),
        (200, "", opened()),
        (200, "", json!([{"id": 2, "username": "Bob"}])),
        (200, "", json!([])),
        (200, "", json!([{"id": 3, "username": "cleo"}])),
        (200, "", one),
        (200, "", opened()),
    ];
    let (gitlab, asked) = gitlab(answers).await;
    let wanted = PullRequestDraft {
        labels: ["agent", "ty/po", "a,b"].map(str::to_owned).to_vec(),
        reviewers: ["@bob", "stranger", "cleo"].map(str::to_owned).to_vec(),
        ..draft()
    };
    let kept = open_pull_request(&gitlab, &wanted, Existing::Keep, pushed()).await.unwrap();
    let parts = ["ty/po", "a,b", "stranger", "cleo", "is a draft, which only a person changes"];
    for (warning, part) in kept.warnings.iter().zip(parts) {
        assert!(warning.contains(part), "{:?}", kept.warnings);
    }
    assert_eq!(kept.warnings.len(), 5);
    let asked = asked.await.unwrap();
    assert_eq!(asked[2], format!("GET {PROJECT}/labels/ty%2Fpo"));
    assert_eq!(asked[3], format!(r#"{PUT} {{"add_labels":["agent"]}}"#));
    assert_eq!(asked[5], "GET /api/v4/users?username=bob");
    assert_eq!(asked[8], format!(r#"{PUT} {{"reviewer_ids":[1,2,3]}}"#));
}

#[test]
fn a_project_is_named_by_its_whole_path_below_the_root_of_its_gitlab() {
    for (repo, api, expected) in [
        ("https://gitlab.com/g/s/r.git", "https://gitlab.com/api/v4", "g/s/r"),
        ("https://h/gitlab/g/r", "https://h/gitlab/api/v4/", "g/r"),
        ("https://h/gitlabs/g/r", "https://h/gitlab/api/v4", "gitlabs/g/r"),
        ("https://h/gitlab/r", "https://h/gitlab/api/v4", "gitlab/r"),
        ("https://h/g/r", "https://api.h/other", "g/r"),
    ] {
        let api = Url::parse(api).unwrap();
        assert_eq!(project(&repo.parse().unwrap(), &api), expected);
    }
    let error = GitLab::new(
        &"https://gitlab.com/r".parse().unwrap(),
        None,
        TokenSource::fixed("t"),
        CancellationToken::new(),
    );
    assert!(error.unwrap_err().to_string().contains("/owner/name"));
}
