use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::forge::{open_or_keep, open_or_update};
use crate::git::CommitId;

const SHA: &str = "1111111111111111111111111111111111111111";

/// One answer of the server: status, further headers, body.
type Answer = (u16, &'static str, Value);

/// A server that gives these answers, one after another, and tells what it was asked.
async fn server(answers: Vec<Answer>) -> (GitHub, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (status, headers, body) in answers {
            let (stream, _) = listener.accept().await.unwrap();
            asked.push(exchange(stream, status, headers, &body.to_string()).await);
        }
        asked
    });
    let repo = format!("http://{host}/acme/shop.git").parse().unwrap();
    let mut github =
        GitHub::new(&repo, None, TokenSource::fixed("tok-123"), CancellationToken::new()).unwrap();
    github.delays = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(1))
        .with_max_times(TRIES - 1);
    (github, serving)
}

/// Reads a request and answers it; the request line and the body.
async fn exchange(stream: TcpStream, status: u16, headers: &str, body: &str) -> String {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    assert!(head.iter().any(|line| line == "authorization: Bearer tok-123"), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut sent = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut sent).await.unwrap();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    let line = head[0].trim_end_matches(" HTTP/1.1");
    format!("{line} {}", String::from_utf8(sent).unwrap()).trim_end().to_owned()
}

fn pull(state: &str, sha: &str) -> Value {
    json!({
        "number": 7, "html_url": "http://forge/acme/shop/pull/7", "state": state,
        "head": {"ref": "ticket-1", "sha": sha, "label": "acme:ticket-1"},
    })
}

fn draft() -> PullRequestDraft {
    PullRequestDraft {
        title: "Title".into(),
        body: "Body".into(),
        head: "ticket-1".parse().unwrap(),
        base: "develop".parse().unwrap(),
    }
}

fn pushed() -> CommitId {
    SHA.parse().unwrap()
}

const LIST: &str = "GET /api/v3/repos/acme/shop/pulls?head=acme%3Aticket-1&state=open&per_page=10";
const CREATE: &str = r#"POST /api/v3/repos/acme/shop/pulls {"base":"develop","body":"Body","head":"ticket-1","title":"Title"}"#;
const READ: &str = "GET /api/v3/repos/acme/shop/pulls/7";

#[tokio::test]
async fn a_pull_request_is_opened_against_the_default_branch_and_read_back() {
    let answers =
        vec![(200, "", json!([])), (201, "", pull("open", SHA)), (200, "", pull("open", SHA))];
    let (github, asked) = server(answers).await;
    let opened = open_or_update(&github, &draft(), pushed()).await.unwrap();
    assert_eq!(opened.number, 7);
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
    let (github, asked) = server(answers).await;
    let updated = open_or_update(&github, &draft(), pushed()).await.unwrap();
    assert_eq!(updated.head_sha, SHA);
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
    let (github, asked) = server(answers).await;
    assert_eq!(github.create(&draft()).await.unwrap().number, 7);
    assert_eq!(asked.await.unwrap(), [CREATE, CREATE, LIST]);
}

#[tokio::test]
async fn hiccups_and_short_limits_are_waited_for_and_refusals_are_not() {
    let limit = json!({"message": "You have exceeded a secondary rate limit."});
    let answers = vec![
        (500, "", json!("")),
        (403, "retry-after: 0\r\n", limit.clone()),
        (429, "retry-after: 0\r\n", limit),
        (200, "", pull("open", SHA)),
        (401, "", json!({"message": "Bad credentials"})),
    ];
    let (github, asked) = server(answers).await;
    github.read(7).await.unwrap();
    let error = github.read(7).await.unwrap_err();
    assert!(matches!(error, ForgeError::Unauthorised { .. }), "{error}");
    assert_eq!(asked.await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_limit_that_lasts_longer_than_we_wait_is_an_error_at_once() {
    let answers = vec![(429, "retry-after: 3600\r\n", json!({"message": "later"}))];
    let (github, asked) = server(answers).await;
    let error = github.read(7).await.unwrap_err();
    assert!(matches!(error, ForgeError::RateLimited { .. }), "{error}");
    assert_eq!(asked.await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_pull_request_that_is_closed_meanwhile_is_not_delivered() {
    let answers =
        vec![(200, "", json!([])), (201, "", pull("open", SHA)), (200, "", pull("closed", SHA))];
    let (github, asked) = server(answers).await;
    let error = open_or_update(&github, &draft(), pushed()).await.unwrap_err();
    assert!(matches!(error, ForgeError::NotVerified { .. }), "{error}");
    assert!(error.to_string().contains("closed"), "{error}");
    asked.await.unwrap();
}

#[tokio::test]
async fn a_forge_that_does_not_answer_is_unreachable() {
    let (github, asked) = server(Vec::new()).await;
    asked.await.unwrap();
    let error = github.read(7).await.unwrap_err();
    assert!(matches!(error, ForgeError::Unreachable { .. }), "{error}");
}

#[test]
fn the_api_of_a_repository_is_where_its_forge_has_it() {
    let pulls = |repo: &str, api: Option<&str>| {
        let api = api.map(|api| Url::parse(api).unwrap());
        let token = TokenSource::fixed("t");
        GitHub::new(&repo.parse().unwrap(), api.as_ref(), token, CancellationToken::new())
            .map(|g| g.pulls.to_string())
    };
    for (repo, api, expected) in [
        ("https://github.com/o/r.git", None, "https://api.github.com/repos/o/r/pulls"),
        ("https://ghe.example:8443/o/r", None, "https://ghe.example:8443/api/v3/repos/o/r/pulls"),
        ("https://github.com/o/r", Some("http://h/api/"), "http://h/api/repos/o/r/pulls"),
    ] {
        assert_eq!(pulls(repo, api).unwrap(), expected);
    }
    let error = pulls("https://forge.example/r", None).unwrap_err();
    assert!(error.to_string().contains("/owner/name"), "{error}");
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_without_being_shown() {
    let repo = "https://github.com/o/r".parse().unwrap();
    let error =
        GitHub::new(&repo, None, TokenSource::fixed("ghp_bad\nvalue"), CancellationToken::new())
            .unwrap_err();
    assert!(!error.to_string().contains("ghp_bad"), "{error}");
    assert!(!format!("{error:?}").contains("ghp_bad"));
}

#[tokio::test]
async fn a_pull_request_of_work_that_was_pushed_before_is_confirmed_and_left_alone() {
    let answers = vec![(200, "", json!([pull("open", SHA)])), (200, "", pull("open", SHA))];
    let (github, serving) = server(answers).await;
    assert_eq!(open_or_keep(&github, &draft(), pushed()).await.unwrap().number, 7);
    assert_eq!(serving.await.unwrap(), [LIST, READ]);
}
