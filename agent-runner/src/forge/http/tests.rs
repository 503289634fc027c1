use serde_json::json;

use super::*;
use crate::forge::testing::{Answer, client, server};

/// Reads `/api/things` by a server that answers so; what it got, and what was asked.
async fn read_with(answers: Vec<Answer>) -> (Result<Value, ForgeError>, Vec<String>) {
    let (url, asked) = server(answers).await;
    let api = client(&url, "api");
    let got = api.get("testing", api.url(["things"])).await;
    (got, asked.await.unwrap())
}

async fn post_with(answers: Vec<Answer>, repeat: Repeat) -> (Result<Value, ForgeError>, usize) {
    let (url, asked) = server(answers).await;
    let api = client(&url, "api");
    let body = json!({"body": "x"});
    let got = api.send("testing", Method::POST, api.url(["things"]), &body, repeat).await;
    (got, asked.await.unwrap().len())
}

#[tokio::test]
async fn hiccups_and_short_limits_are_waited_for_and_refusals_are_not() {
    let limit = json!({"message": "You have exceeded a secondary rate limit."});
    let past = "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1000000001\r\n";
    let answers = vec![
        (502, "", json!("")),
        (403, "retry-after: 0\r\n", limit.clone()),
        (403, past, json!({"message": "API rate limit exceeded"})),
        (429, "ratelimit-remaining: 0\r\nratelimit-reset: 0\r\n", json!("Retry later")),
        (200, "", json!([1])),
    ];
    let (got, asked) = read_with(answers).await;
    assert_eq!(got.unwrap(), json!([1]));
    assert_eq!(asked.len(), 5);
    for status in [400, 401, 403, 404, 409, 422] {
        let (got, asked) = read_with(vec![(status, "", json!({"message": "no"}))]).await;
        assert!(!got.unwrap_err().is_transient());
        assert_eq!(asked.len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_limit_that_lasts_longer_than_we_wait_is_an_error_at_once() {
    let answers = vec![(429, "retry-after: 3600\r\n", json!({"message": "later"}))];
    let (got, asked) = read_with(answers).await;
    assert!(matches!(got, Err(ForgeError::RateLimited { .. })), "{got:?}");
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn a_forge_that_does_not_answer_is_unreachable() {
    let (url, asked) = server(Vec::new()).await;
    asked.await.unwrap();
    let api = client(&url, "api");
    let error = api.get("testing", api.url(["things"])).await.unwrap_err();
    assert!(matches!(error, ForgeError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn what_would_be_there_twice_is_repeated_only_when_it_was_not_taken() {
    let answers = || vec![(500, "", json!("")), (201, "", json!({}))];
    let (got, asked) = post_with(answers(), Repeat::Safe).await;
    assert!(got.is_ok() && asked == 2);
    let (got, asked) = post_with(answers()[..1].to_vec(), Repeat::Harmful).await;
    assert!(matches!(got, Err(ForgeError::Unreachable { .. })) && asked == 1);
    let limited = vec![(429, "retry-after: 0\r\n", json!("slow")), (201, "", json!({}))];
    let (got, asked) = post_with(limited, Repeat::Harmful).await;
    assert!(got.is_ok() && asked == 2);
}

#[tokio::test]
async fn a_renamed_repository_is_followed_with_the_same_request_and_no_other_host_is() {
    let (url, asked) = server(vec![
        (307, "location: /api/repositories/1/things\r\n", json!({"message": "Moved"})),
        (201, "", json!({"number": 1})),
    ])
    .await;
    let api = client(&url, "api");
    let body = json!({"body": "x"});
    let url = api.url(["things"]);
    api.send("testing", Method::POST, url, &body, Repeat::Safe).await.unwrap();
    let asked = asked.await.unwrap();
    assert_eq!(asked[1], r#"POST /api/repositories/1/things {"body":"x"}"#);

    let elsewhere = vec![(301, "location: http://127.0.0.2:9/steal\r\n", json!(0))];
    let (got, _) = read_with(elsewhere).await;
    let error = got.unwrap_err().to_string();
    assert!(error.contains("http://127.0.0.2:9") && !error.contains("steal"), "{error}");

    let around = vec![(302, "location: /api/things\r\n", json!(0)); 4];
    let (got, asked) = read_with(around).await;
    assert!(matches!(got, Err(ForgeError::Malformed { .. })) && asked.len() == 4);
}

async fn list_of(answers: Vec<Answer>) -> (Result<Vec<Value>, ForgeError>, Vec<String>) {
    let (url, asked) = server(answers).await;
    let api = client(&url, "api");
    let mut url = api.url(["things"]);
    url.set_query(Some("state=open&per_page=2"));
    let got = api.get_all("testing", url).await;
    (got, asked.await.unwrap())
}

#[tokio::test]
async fn a_list_is_read_to_its_end_by_either_way_of_naming_the_next_page() {
    // The link is written for another name of the forge, to which nothing is sent.
    let link = "link: <https://forge.example/api/things?per_page=2&page=1>; rel=\"prev\", \
                <https://forge.example/api/things?per_page=2&cursor=b>; rel=\"next\"\r\n";
    let (got, asked) = list_of(vec![(200, link, json!([1, 2])), (200, "", json!([3]))]).await;
    assert_eq!(got.unwrap(), [1, 2, 3]);
    assert_eq!(asked[1], "GET /api/things?per_page=2&cursor=b");

    let first = (200, "x-next-page: 2\r\n", json!([1]));
    let last = (200, "x-next-page: \r\n", json!([2]));
    let (got, asked) = list_of(vec![first, last]).await;
    assert_eq!(got.unwrap(), [1, 2]);
    assert_eq!(asked[1], "GET /api/things?state=open&per_page=2&page=2");
}

#[tokio::test]
async fn a_list_that_is_none_or_has_no_end_is_an_error() {
    let (got, _) = list_of(vec![(200, "", json!({"message": "welcome"}))]).await;
    assert!(matches!(got, Err(ForgeError::Malformed { .. })), "{got:?}");
    let endless = vec![(200, "x-next-page: 1\r\n", json!([1])); PAGES];
    let (got, asked) = list_of(endless).await;
    assert!(matches!(got, Err(ForgeError::Malformed { .. })), "{got:?}");
    assert_eq!(asked.len(), PAGES);
}

#[tokio::test]
async fn a_cancelled_run_changes_nothing_and_may_still_look() {
    let (url, asked) = server(vec![(200, "", json!([]))]).await;
    let api = client(&url, "api");
    api.cancel.cancel();
    let body = json!({});
    for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
        let sent = api.send("testing", method, api.url(["things"]), &body, Repeat::Safe).await;
        assert!(matches!(sent, Err(ForgeError::Cancelled { .. })), "{sent:?}");
    }
    api.get("testing", api.url(["things"])).await.unwrap();
    assert_eq!(asked.await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_read_to_it() {
    let (got, _) = read_with(vec![(200, "", json!("x".repeat(ANSWER_MAX)))]).await;
    assert!(matches!(got, Err(ForgeError::Malformed { .. })));
}

#[test]
fn a_segment_of_an_address_is_encoded_as_a_whole() {
    let url = client(&Url::parse("http://h/").unwrap(), "api/v4/").url(["projects", "a/b c", "x"]);
    assert_eq!(url.as_str(), "http://h/api/v4/projects/a%2Fb%20c/x");
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_without_being_shown() {
    let base = Url::parse("https://api.github.com").unwrap();
    let token = TokenSource::fixed("ghp_bad\nvalue");
    let error =
        ApiClient::new(base, HeaderMap::new(), token, CancellationToken::new()).unwrap_err();
    assert!(!error.to_string().contains("ghp_bad"), "{error}");
    assert!(!format!("{error:?}").contains("ghp_bad"));
}

#[tokio::test]
async fn a_log_that_is_elsewhere_is_read_without_the_token_and_to_its_end() {
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!("location: http://{}/blob\r\n", elsewhere.local_addr().unwrap());
    let blob = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = elsewhere.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let log = "x".repeat(100_000) + "the end";
        let answer = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{log}", log.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    let (url, asked) = server(vec![(302, location.leak(), Value::Null)]).await;
    let api = client(&url, "api");
    let log = api.get_end_of_text("testing", api.url(["log"]), 9).await.unwrap();
    assert_eq!(log.as_deref(), Some("xxthe end"));
    assert_eq!(asked.await.unwrap(), ["GET /api/log"]);
    let head = blob.await.unwrap().to_ascii_lowercase();
    assert!(!head.contains("authorization") && !head.contains("tok-123"), "{head}");
}
