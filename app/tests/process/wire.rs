//! What the server answers, byte for byte where the original app fixes it: statuses, error bodies,
//! the key, limits, settings, memory.

use api_client::{ProjectId, Secret, TicketId, WorkerApi};
use nix::sys::signal::Signal;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{App, KEY, claim, ticket_path};

const START: &str = "/api/worker/jobs/start";
const JSON: Option<&str> = Some("application/json");

#[tokio::test]
async fn a_claim_is_answered_with_the_statuses_of_the_original() {
    let app = App::start();
    for (kind, body, status) in [
        (JSON, "{}", 204),
        (JSON, "null", 204),
        (Some("application/json; charset=utf-8"), "{\"later\":1}", 204),
        (JSON, "{bad", 400),
        (JSON, "", 400),
        (JSON, "[1]", 400),
        (JSON, "{\"project_id\":5}", 400),
        (None, "", 415),
        (None, "{}", 415),
        (Some("text/plain"), "{}", 415),
    ] {
        let (answered, value) = app.post_raw(START, kind, body).await;
        assert_eq!(answered.as_u16(), status, "{kind:?} {body}: {value}");
        assert_eq!(value.is_null(), status == 204, "{value}");
    }
    let (_, value) = app.post_raw(START, JSON, "{\"project_id\":\"five\"}").await;
    assert_eq!(value, json!({"error": "project_id must be a valid UUID"}));
    let body = json!({ "project_id": ProjectId::random() }).to_string();
    let (status, value) = app.post_raw(START, JSON, body).await;
    assert_eq!((status.as_u16(), value), (404, json!({"error": "Project not found"})));
    assert_eq!(app.call(Method::GET, START, None).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn what_is_not_there_is_404_even_if_its_id_is_no_uuid() {
    let app = App::start();
    let (project, ticket) = (app.add_project().await, TicketId::random());
    let of_other = app.add_ticket(app.add_project().await, "t").await;
    for path in [
        "/api/worker/jobs/five/complete".to_owned(),
        format!("/api/worker/jobs/{ticket}/fail"),
        ticket_path(project, ticket, "/cancel"),
        ticket_path(project, of_other, "/cancel"),
    ] {
        let (status, value) = app.post_raw(&path, None, "").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {value}");
    }
    for leaf in ["", "/worker-context", "/logs", "/cancel-requested"] {
        for ticket in [ticket, of_other] {
            let path = ticket_path(project, ticket, leaf);
            let (status, value) = app.call(Method::GET, &path, None).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {value}");
            assert!(value["error"].is_string());
        }
    }
    assert_eq!(app.call(Method::GET, "/api/nope", None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_url_needs_the_key_before_anything_else_is_looked_at() {
    let app = App::start();
    let missing = "Missing or invalid Authorization header (expected Bearer <token>)";
    for (header, words) in [
        (None, missing),
        (Some("Basic eDp5".to_owned()), missing),
        (Some(format!("bearer {KEY}")), missing),
        (Some("Bearer wrong".to_owned()), "Invalid worker API token"),
        (Some(format!("Bearer {KEY}x")), "Invalid worker API token"),
    ] {
        for (method, path) in [
            (Method::POST, START),
            (Method::POST, "/api/worker/jobs/five/complete"),
            (Method::GET, "/api/settings"),
            (Method::PUT, "/api/settings"),
            (Method::GET, "/api/projects"),
            (Method::GET, "/api/jobs"),
            (Method::GET, "/api/health"),
            (Method::DELETE, START),
            (Method::GET, "/nope"),
        ] {
            let mut request = app.http.request(method, format!("{}{path}", app.url));
            if let Some(header) = &header {
                request = request.header(AUTHORIZATION, header);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path} {header:?}");
            let body: Value = response.json().await.unwrap();
            assert_eq!(body, json!({ "error": words }), "{path} {header:?}");
        }
    }
    let stranger = WorkerApi::new(&app.url.parse().unwrap(), None, "test/1").unwrap();
    let error = stranger.claim(None, None).await.unwrap_err();
    assert!(matches!(error, api_client::ApiError::Unauthorised { status: 401, .. }));
    assert_eq!(app.get("/api/health").await["ok"], true);
}

#[tokio::test]
async fn the_agent_gets_the_settings_that_are_set_and_no_one_else_the_secrets() {
    let app = App::start();
    let body = json!({
        "github_agent_token": "ghp_fake_0123456789", "WORKER_API_KEY": "sk-fake-0123456789",
        "WORKER_MODE": "opencode", "MAX_CONCURRENT_AGENTS": 4, "GIT_USER_NAME": "Bot",
    });
    let (status, shown) = app.call(Method::PUT, "/api/settings", Some(body)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(shown["MAX_CONCURRENT_AGENTS"], "4");
    assert_eq!(
        (&shown["github_agent_token"], &shown["AGENT_API_KEY"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(shown, app.get("/api/settings").await);
    let limit = app.worker_api().settings().await.unwrap().max_concurrent_agents;
    assert_eq!(limit.map(usize::from), Some(4));

    let job = app.claimed().await;
    let names: Vec<&str> = job.agent_env.iter().map(|(name, _)| name).collect();
    let expected = [
        "GH_TOKEN",
        "GITHUB_TOKEN",
        "GIT_USER_NAME",
        "TERARCHITECT_WORKER_API_KEY",
        "WORKER_API_KEY",
        "WORKER_MODE",
    ];
    assert_eq!(names, expected);
    assert_eq!(job.agent_env.get("GH_TOKEN"), Some(&Secret::from("ghp_fake_0123456789")));
    let api = app.worker_api();
    let context = api.worker_context(job.project_id, job.ticket_id).await.unwrap();
    let token = context.agent_settings.get("github_agent_token");
    assert_eq!(token, Some(&Secret::from("ghp_fake_0123456789")));

    let refused = json!({"WORKER_MODE": "claude-code", "WORKER_MODL": "x"});
    let (status, value) = app.call(Method::PUT, "/api/settings", Some(refused)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(value["error"].as_str().unwrap().contains("WORKER_MODL"), "{value}");
    assert_eq!(app.get("/api/settings").await["WORKER_MODE"], "opencode");
    let unset = json!({"WORKER_MODE": null, "GIT_USER_NAME": ""});
    let (_, shown) = app.call(Method::PUT, "/api/settings", Some(unset)).await;
    assert!(shown["WORKER_MODE"].is_null() && shown["GIT_USER_NAME"].is_null(), "{shown}");

    let (log, database) = app.stop();
    assert!(log.contains("/api/settings"), "the access log is on");
    for secret in [KEY, "ghp_fake", "sk-fake"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    // The server's key is not in the database; settings are, which is why it has mode 0600.
    assert!(!database.windows(KEY.len()).any(|bytes| bytes == KEY.as_bytes()));
}

#[tokio::test]
async fn log_entries_are_taken_as_the_original_takes_them() {
    let app = App::start();
    let project = app.add_project().await;
    let path = ticket_path(project, app.add_ticket(project, "t").await, "/logs");
    let post = async |body: Value| app.call(Method::POST, &path, Some(body)).await;
    let (status, value) = post(json!({"step": "x"})).await;
    assert_eq!((status.as_u16(), value), (400, json!({"error": "session_id is required"})));
    for (field, bad) in [("step", json!(5)), ("raw_output", json!({})), ("success", json!("no"))] {
        let (status, value) = post(json!({"session_id": "s-1", field: bad})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(value["error"].as_str().unwrap().starts_with(field), "{value}");
    }
    let (status, value) = post(json!({"session_id": "s".repeat(256)})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{value}");
    let big = "x".repeat(10 << 20);
    let nul = "a\u{0}b";
    post(json!({"session_id": "s-1", "step": "é".repeat(150), "summary": nul})).await;
    let (status, value) = post(json!({"session_id": "s-1", "raw_output": big})).await;
    assert_eq!((status, &value["message"]), (StatusCode::OK, &json!("Logged")));

    let logs = app.get(&path).await;
    assert_eq!(logs.as_array().unwrap().len(), 2);
    assert_eq!(logs[0]["step"], "é".repeat(100));
    assert_eq!((&logs[0]["summary"], &logs[0]["raw_output"]), (&json!(nul), &Value::Null));
    assert_eq!((&logs[1]["step"], &logs[1]["summary"]), (&json!("step"), &json!("")));
    assert_eq!(logs[1]["raw_output"].as_str().unwrap().len(), 10 << 20);
    assert!(logs[1].get("session_id").is_none());

    let (status, value) = app.post_raw(&path, JSON, r#"{"session_id":"\ud800"}"#).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{value}");
}

#[tokio::test]
async fn a_refusal_reaches_a_caller_that_is_still_sending() {
    let app = App::start();
    let (url, big) = (format!("{}{START}", app.url), vec![b' '; 20 << 20]);
    for (key, kind, status) in [
        ("wrong", "application/json", 401),
        (KEY, "text/plain", 415),
        (KEY, "application/json", 413),
    ] {
        let request = app.http.post(&url).bearer_auth(key).header(CONTENT_TYPE, kind);
        let answer = request.body(big.clone()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_name() {
    let app = App::start();
    let project = app.add_project().await;
    let path = format!("/api/projects/{project}/tickets");
    let title = json!({ "title": "x".repeat(501) });
    let (status, value) = app.call(Method::POST, &path, Some(title)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(value, json!({"error": "title must be at most 500 characters"}));
    let described = json!({ "title": "t", "description": "x".repeat(400_000) });
    assert_eq!(app.call(Method::POST, &path, Some(described)).await.0, StatusCode::CREATED);
    let body = json!({ "title": "t", "description": "x".repeat(2 << 20) });
    let (status, value) = app.call(Method::POST, &path, Some(body)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(value, json!({"error": "the body must be at most 1048576 bytes"}));
    for (field, bad) in [("priority", "urgent"), ("column_id", "doing"), ("title", " ")] {
        let mut body = json!({ "title": "t" });
        body[field] = json!(bad);
        let (status, value) = app.call(Method::POST, &path, Some(body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(value["error"].as_str().unwrap().starts_with(field), "{value}");
    }
}

#[tokio::test]
async fn a_project_is_checked_as_a_whole() {
    let app = App::start();
    let url = "https://github.com/acme/demo";
    for (body, field) in [
        (json!({"repo_url": url}), "name"),
        (json!({"name": "n"}), "repo_url"),
        (json!({"name": "n", "repo_url": "git@github.com:acme/demo"}), "repo_url"),
        (json!({"name": "n", "repo_url": "https://me:hunter2@github.com/a/b"}), "repo_url"),
        (json!({"name": "n", "repo_url": url, "execution_mode": "vm"}), "execution_mode"),
        (json!({"name": "n", "execution_mode": "local"}), "project_path"),
        (json!({"name": "n", "execution_mode": "local", "project_path": "x"}), "project_path"),
    ] {
        let (status, value) = app.call(Method::POST, "/api/projects", Some(body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let words = value["error"].as_str().unwrap();
        assert!(words.starts_with(field) && !words.contains("hunter2"), "{words}");
    }
    let path = format!("/api/projects/{}", app.add_project().await);
    let patch = async |body: Value| app.call(Method::PATCH, &path, Some(body)).await;
    assert_eq!(patch(json!({"repo_url": null})).await.0, StatusCode::BAD_REQUEST);
    let (_, project) = patch(json!({"execution_mode": "local", "project_path": "/srv"})).await;
    assert_eq!((&project["project_path"], &project["name"]), (&json!("/srv"), &json!("demo")));
    assert_eq!(patch(json!({"repo_url": null})).await.0, StatusCode::OK);
    assert_eq!(app.get(&path).await["execution_mode"], "local");
}

#[tokio::test]
async fn the_number_of_a_pull_request_may_be_text_and_what_is_no_number_is_none() {
    let app = App::start();
    let job = app.claimed().await;
    let path = ticket_path(job.project_id, job.ticket_id, "/complete");
    let ticket = ticket_path(job.project_id, job.ticket_id, "");
    let pr_url = "https://github.com/acme/demo/pull/9";
    for (sent, kept) in [(json!("9"), json!(9)), (json!("eight"), Value::Null)] {
        let body = json!({"summary": "done", "pr_url": pr_url, "pr_number": sent});
        let (status, value) = app.call(Method::POST, &path, Some(body)).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(value, json!({"message": "Complete", "ticket_id": job.ticket_id}));
        assert_eq!(app.get(&ticket).await["pr_number"], kept);
    }
    assert_eq!(app.post_raw(&path, None, "{}").await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    app.call(Method::POST, &path, Some(json!({"summary": "again"}))).await;
    assert_eq!(app.get(&ticket).await["pr_url"], pr_url);
    let script = json!({"summary": "x", "pr_url": "javascript:alert(1)"});
    let (status, _) = app.call(Method::POST, &path, Some(script)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn memory_finds_passages_by_their_words_in_their_project_alone() {
    let app = App::start();
    let (project, other) = (app.add_project().await, app.add_project().await);
    let api = app.worker_api();
    let docs = ["Login uses argon2.", "The board has four columns."].map(str::to_owned);
    for _ in 0..2 {
        api.index_memory(project, &docs).await.unwrap();
    }
    let questions = ["How does login work?", "\"* OR"].map(str::to_owned);
    let answers = api.retrieve_memory(project, &questions, 5).await.unwrap();
    assert_eq!(answers[0].question, questions[0]);
    assert_eq!(answers[0].docs, docs[..1]);
    assert!(answers[1].docs.is_empty());
    assert!(api.retrieve_memory(other, &questions, 5).await.unwrap()[0].docs.is_empty());

    let path = format!("/api/projects/{project}/memory/retrieve");
    let (status, value) = app.call(Method::POST, &path, Some(json!({"queries": [1]}))).await;
    let words = json!({"error": "queries (list of strings) is required"});
    assert_eq!((status.as_u16(), value), (400, words));
}

#[tokio::test]
async fn a_request_in_hand_is_answered_after_sigterm() {
    let mut app = App::start();
    let job = app.claimed().await;
    let address = app.url.strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /api/worker/jobs/{}/fail HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: 14\r\nExpect: 100-continue\r\n\r\n",
        job.job_id
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request is in its hands.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    app.signal(Signal::SIGTERM);
    app.wait_for_log("stopping");
    stream.write_all(b"{\"reason\":\"x\"}").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(app.wait().success());
    assert!(TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let app = App::start();
    assert!(claim(&app.worker_api(), None).await.is_none());
    app.get("/api/health").await;
    let (log, _) = app.stop();
    assert!(!log.contains("unanswered"), "the end was waited for");
}
