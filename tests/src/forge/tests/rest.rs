//! Pull requests and refs over the REST API.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_pull_request_has_githubs_fields_and_a_second_one_is_refused() {
    let fx = Fixture::new().await;
    fx.push_branch("work", "new.txt", "new\n").await;
    let (status, pull) = fx.open_pull("work").await;
    assert_eq!(status, StatusCode::CREATED, "{pull}");
    let page = format!("{}acme/web/pull/1", fx.forge.url());
    assert_eq!(pull["html_url"], page);
    assert_eq!((&pull["number"], &pull["state"]), (&json!(1), &json!("open")));
    assert_eq!(pull["head"]["label"], "acme:work");
    assert_eq!(pull["base"]["ref"], "main");
    let (_, reference) = fx.api(Method::GET, "/git/ref/heads/work", None).await;
    assert_eq!(reference["object"]["sha"], pull["head"]["sha"]);

    let (status, refused) = fx.open_pull("acme:work").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let message = &refused["errors"][0]["message"];
    assert_eq!(message, "A pull request already exists for acme:work.");

    let html = reqwest::get(&page).await.unwrap().text().await.unwrap();
    assert!(html.contains("Why &amp; how"), "{html}");
    let diff = reqwest::get(page + ".diff").await.unwrap().text().await.unwrap();
    assert!(diff.contains("+++ b/new.txt") && diff.contains("\n+new\n"), "{diff}");
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn pull_requests_are_listed_by_head_and_state_and_can_be_changed() {
    let fx = Fixture::new().await;
    fx.push_branch("one", "1.txt", "1\n").await;
    fx.push_branch("two", "2.txt", "2\n").await;
    assert_eq!(fx.open_pull("one").await.0, StatusCode::CREATED);
    assert_eq!(fx.open_pull("two").await.0, StatusCode::CREATED);
    let numbers = async |query: &str| {
        let (status, list) = fx.api(Method::GET, &format!("/pulls{query}"), None).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        let list = list.as_array().unwrap();
        list.iter().map(|pull| pull["number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers("").await, [2, 1]);
    assert_eq!(numbers("?head=acme:one&state=open").await, [1]);
    assert_eq!(numbers("?head=other:one").await, [0; 0]);
    assert_eq!(numbers("?per_page=1&page=2").await, [1]);

    let change = json!({"state": "closed", "title": "Closed", "body": ""});
    let (status, pull) = fx.api(Method::PATCH, "/pulls/1", Some(change)).await;
    assert_eq!((status, &pull["state"]), (StatusCode::OK, &json!("closed")));
    assert_eq!((&pull["title"], &pull["body"]), (&json!("Closed"), &json!("")));
    assert_eq!(numbers("").await, [2]);
    assert_eq!(numbers("?state=all").await, [2, 1]);
    assert_eq!(fx.open_pull("one").await.1["number"], 3, "a closed one makes room");

    let (status, _) = fx.api(Method::PATCH, "/pulls/1", Some(json!({"state": "open"}))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "two open ones for one branch");
    let (status, _) = fx.api(Method::GET, "/pulls?head=one", None).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "a head without its owner");
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn impossible_pull_requests_are_refused_with_the_field_named() {
    let fx = Fixture::new().await;
    fx.push_branch("work", "new.txt", "new\n").await;
    let post = async |body: Value| {
        let (status, answer) = fx.api(Method::POST, "/pulls", Some(body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        answer.to_string()
    };
    let absent = post(json!({"title": "t", "head": "absent", "base": "main"})).await;
    assert!(absent.contains(r#""field":"head""#), "{absent}");
    let foreign = post(json!({"title": "t", "head": "other:work", "base": "main"})).await;
    assert!(foreign.contains(r#""field":"head""#), "{foreign}");
    let same = post(json!({"title": "t", "head": "main", "base": "main"})).await;
    assert!(same.contains("No commits between main and main"), "{same}");
    let untitled = post(json!({"title": " ", "head": "work", "base": "main"})).await;
    assert!(untitled.contains(r#""field":"title""#), "{untitled}");
    let long = post(json!({"title": "t".repeat(257), "head": "work", "base": "main"})).await;
    assert!(long.contains("title is too long"), "{long}");
    assert!(fx.forge.pulls(&fx.repo).is_empty());
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_request_must_identify_itself_and_speak_a_known_version() {
    let fx = Fixture::new().await;
    let url = fx.request(Method::GET, "").build().unwrap().url().to_string();
    let status = async |request: reqwest::RequestBuilder| {
        let response = request.send().await.unwrap();
        let limit = response.headers()["x-ratelimit-limit"].to_str().unwrap().to_owned();
        assert_eq!(limit, "5000");
        response.status().as_u16()
    };
    assert_eq!(status(fx.request(Method::GET, "")).await, 200);
    assert_eq!(status(reqwest::Client::new().get(&url).bearer_auth(TOKEN)).await, 403);
    assert_eq!(status(fx.http.get(&url)).await, 401);
    assert_eq!(status(fx.http.get(&url).bearer_auth("guess")).await, 401);
    assert_eq!(status(fx.request(Method::GET, "/nothing")).await, 404);
    assert_eq!(status(fx.request(Method::GET, "/git/ref/heads/absent")).await, 404);
    let version = |v| fx.request(Method::GET, "").header("x-github-api-version", v);
    assert_eq!(status(version("2022-11-28")).await, 200);
    assert_eq!(status(version("1999-01-01")).await, 400);
    assert_eq!(status(fx.request(Method::GET, "").header("accept", "text/html")).await, 415);
    let plain = r#"{"title": "t", "head": "h", "base": "b"}"#;
    let plain = fx.request(Method::POST, "/pulls").body(plain);
    assert_eq!(status(plain).await, 415);
    let broken = fx.request(Method::POST, "/pulls").header("content-type", "application/json");
    assert_eq!(status(broken.body("{")).await, 400);
    let unknown = fx.forge.take_violations();
    assert_eq!(unknown, ["GET /repos/acme/web/nothing: no such operation"]);
    fx.forge.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_request_that_the_forge_does_not_publish_fails_the_test() {
    let fx = Fixture::new().await;
    let body = json!({"title": "t", "head": "work", "base": "main", "label": 1});
    let (status, _) = fx.api(Method::POST, "/pulls", Some(body)).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let (status, _) = fx.api(Method::GET, "/pulls?branch=x", None).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let error = fx.forge.shutdown().await.unwrap_err().to_string();
    for part in ["body.label is unknown", "unknown query parameter \"branch\""] {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_restart_keeps_repositories_and_pull_requests() {
    let fx = Fixture::new().await;
    fx.push_branch("work", "new.txt", "new\n").await;
    assert_eq!(fx.open_pull("work").await.0, StatusCode::CREATED);
    fx.forge.shutdown().await.unwrap();

    let fx = Fixture { forge: start(fx.dir.path()).await, ..fx };
    let (_, list) = fx.api(Method::GET, "/pulls?head=acme:work", None).await;
    assert_eq!(list[0]["title"], "Add work");
    assert_eq!(fx.open_pull("work").await.0, StatusCode::UNPROCESSABLE_ENTITY);
    fx.forge.shutdown().await.unwrap();
}
