//! The client against a raw server that behaves as the original app does: HTML error pages, one
//! connection for each reply, a 204 without a length, and whatever else was seen on the wire.

#![expect(clippy::unwrap_used, reason = "tests")]

mod server;

use std::time::Duration;

use api_client::wire::{HeldBy, JobFailure, JobKind, LogEntry, TicketCompletion};
use api_client::{
    ApiError, Claim, ClaimId, ClientError, JobId, ProjectId, Secret, TicketId, WorkerApi, retry,
};
use serde_json::{Value, json};
use server::{Server, html, json_reply, raw};
use url::Url;

const KEY: &str = "worker-key-0123456789";
const JOB: &str = "93863a0a-985e-474b-a6b2-40a89654e6bf";

fn api(url: &str) -> WorkerApi {
    let url = Url::parse(url).unwrap();
    WorkerApi::new(&url, Some(Secret::from(KEY)), "test/1").unwrap()
}

fn job_id() -> JobId {
    JOB.parse().unwrap()
}

fn claimed() -> Value {
    json!({
        "job_id": JOB, "kind": "ticket", "execution_mode": "docker",
        "ticket_id": TicketId::random(), "project_id": ProjectId::random(),
        "repo_url": "https://github.com/acme/demo", "project_path": null,
        "agent_env": {"GITHUB_TOKEN": "ghp_fake"},
    })
}

/// The error of a claim that is answered with `reply`.
async fn claim_error(reply: Vec<u8>) -> ApiError {
    let server = Server::start([reply]).await;
    let error = api(&server.url()).claim(None, None).await.unwrap_err();
    server.requests().await;
    error
}

#[tokio::test]
async fn an_html_error_page_is_sorted_by_its_status_and_not_repeated() {
    for status in ["404 NOT FOUND", "415 UNSUPPORTED MEDIA TYPE", "500 INTERNAL SERVER ERROR"] {
        let error = claim_error(html(status)).await;
        match (&error, &status[..3]) {
            (ApiError::Gone { message, .. }, "404")
            | (ApiError::Refused { message, status: 415, .. }, "415")
            | (ApiError::Busy { message, status: 500, retry_after: None, .. }, "500") => {
                assert_eq!(message, "");
            }
            _ => panic!("{status}: {error:?}"),
        }
        assert!(!error.to_string().contains('<'), "{error}");
        assert!(error.to_string().contains("POST /api/worker/jobs/start"), "{error}");
    }
}

#[tokio::test]
async fn no_job_is_a_204_that_names_no_length() {
    let head = "HTTP/1.1 204 NO CONTENT\r\nContent-Type: text/html; charset=utf-8\r\n\
                Connection: close\r\n\r\n";
    let server = Server::start([raw(head)]).await;
    let claim = api(&server.url()).claim(None, None).await.unwrap();
    assert!(matches!(claim, Claim::Empty));
}

#[tokio::test]
async fn every_connection_may_be_closed_after_one_reply() {
    let done = json!({"job_id": JOB, "message": "Job completed"});
    let replies = [json_reply("200 OK", &claimed()), json_reply("200 OK", &done), html("404 X")];
    let server = Server::start(replies).await;
    let api = api(&server.url());
    assert!(matches!(api.claim(None, None).await.unwrap(), Claim::Job(_)));
    api.complete_job(job_id(), HeldBy::default()).await.unwrap();
    assert!(matches!(
        api.complete_job(job_id(), HeldBy::default()).await,
        Err(ApiError::Gone { .. })
    ));
    assert_eq!(server.requests().await.len(), 3);
}

#[tokio::test]
async fn an_answer_cut_in_the_middle_is_no_answer() {
    let mut reply = json_reply("200 OK", &claimed());
    reply.truncate(reply.len() - 20);
    let error = claim_error(reply).await;
    assert!(matches!(error, ApiError::Unreachable { .. }), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_not_sent_again() {
    let server = Server::start([Vec::new(), json_reply("200 OK", &claimed())]).await;
    let error = api(&server.url()).claim(None, None).await.unwrap_err();
    assert!(matches!(error, ApiError::Unreachable { .. }), "{error:?}");
    assert_eq!(server.requests().await.len(), 1);
}

#[tokio::test]
async fn a_404_without_the_apps_words_is_tried_again_and_one_with_them_is_not() {
    let renewed = json!({"job_id": JOB, "lease_sec": 90});
    let server = Server::start([html("404 NOT FOUND"), json_reply("200 OK", &renewed)]).await;
    let of_proxy = api(&server.url());
    let renew = || of_proxy.renew_lease(job_id(), ClaimId::random());
    retry(3, renew).await.unwrap();
    assert_eq!(server.requests().await.len(), 2);

    let gone = json_reply("404 NOT FOUND", &json!({"error": "Job not found"}));
    let server = Server::start([gone, json_reply("200 OK", &renewed)]).await;
    let of_app = api(&server.url());
    let error = retry(3, || of_app.renew_lease(job_id(), ClaimId::random())).await.unwrap_err();
    assert!(error.is_unknown_to_the_app(), "{error:?}");
    assert_eq!(server.requests().await.len(), 1);
}

#[tokio::test]
async fn a_busy_app_may_say_how_long_to_wait() {
    let reply = |after: &str| {
        raw(&format!(
            "HTTP/1.1 429 TOO MANY REQUESTS\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    let error = claim_error(reply("7")).await;
    assert!(matches!(error, ApiError::Busy { status: 429, .. }), "{error:?}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    let error = claim_error(reply("Wed, 21 Oct 2026 07:28:00 GMT")).await;
    assert!(error.is_transient());
    assert_eq!(error.retry_after(), None);
}

#[tokio::test]
async fn a_refused_key_is_told_in_the_words_of_the_app() {
    let body = json!({"error": "Invalid worker API token"});
    let error = claim_error(json_reply("401 UNAUTHORIZED", &body)).await;
    assert!(matches!(error, ApiError::Unauthorised { status: 401, .. }), "{error:?}");
    assert!(!error.is_transient());
    let text = error.to_string();
    assert!(text.contains("Invalid worker API token"), "{text}");
    assert!(text.contains("TERARCHITECT_WORKER_API_KEY"), "{text}");
}

#[tokio::test]
async fn a_job_that_does_not_run_is_a_refusal() {
    let body = json!({"error": "Job not running", "status": "completed"});
    let server = Server::start([json_reply("409 CONFLICT", &body)]).await;
    let error = api(&server.url()).complete_job(job_id(), HeldBy::default()).await.unwrap_err();
    assert!(matches!(error, ApiError::Refused { status: 409, .. }), "{error:?}");
}

#[tokio::test]
async fn the_key_is_in_no_error_even_if_the_app_repeats_it() {
    let body = json!({"error": format!("{}{KEY} is not the key", "x".repeat(190))});
    let mut errors = vec![claim_error(json_reply("401 UNAUTHORIZED", &body)).await];
    errors.push(claim_error(json_reply("400 BAD REQUEST", &body)).await);
    errors.push(claim_error(Vec::new()).await);
    for error in errors {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("worker-key"), "{shown}");
    }
    let api = api("http://127.0.0.1:1");
    assert!(!format!("{api:?}").contains("worker-key"));
}

#[tokio::test]
async fn a_claimed_job_that_cannot_be_read_is_named() {
    let mut body = claimed();
    body["kind"] = json!("plan");
    let error = claim_error(json_reply("200 OK", &body)).await;
    let ApiError::Malformed { job, .. } = error else { panic!("{error:?}") };
    assert_eq!(job, Some(job_id()));

    let error = claim_error(html("200 OK")).await;
    assert!(matches!(error, ApiError::Malformed { job: None, .. }), "{error:?}");
}

#[tokio::test]
async fn unknown_fields_are_ignored_and_absent_ones_tolerated() {
    let mut body = claimed();
    body["later"] = json!({"x": [1]});
    for field in ["agent_env", "repo_url", "execution_mode", "project_path"] {
        body.as_object_mut().unwrap().remove(field);
    }
    let empty = json!({});
    let reply = |body| json_reply("200 OK", body);
    let server = Server::start([reply(&body), reply(&empty), reply(&empty), reply(&empty)]).await;
    let api = api(&server.url());
    let Claim::Job(job) = api.claim(None, None).await.unwrap() else { panic!("no job") };
    assert_eq!(job.kind, JobKind::Ticket);
    assert_eq!(job.agent_env.iter().count(), 0);
    let context = api.worker_context(job.project_id, job.ticket_id).await.unwrap();
    assert!(context.current_ticket.is_none());
    assert!(!api.cancel_requested(job.project_id, job.ticket_id).await.unwrap());
    assert_eq!(api.settings().await.unwrap().max_concurrent_agents, None);
}

#[tokio::test]
async fn every_post_is_json_and_every_call_carries_the_key() {
    let (project, ticket) = (ProjectId::random(), TicketId::random());
    let server = Server::start(vec![json_reply("200 OK", &json!({})); 9]).await;
    let api = api(&server.url());
    let entry = LogEntry {
        session_id: "s-1".to_owned(),
        step: "session_started".to_owned(),
        summary: String::new(),
        raw_output: None,
    };
    let completion = TicketCompletion {
        summary: "done".to_owned(),
        pr_url: None,
        pr_number: None,
        review_comment_body: None,
    };
    let texts = ["text".to_owned()];
    // An empty object is no job, which is not of interest here.
    let _malformed = api.claim(None, None).await;
    api.complete_job(job_id(), HeldBy::default()).await.unwrap();
    api.fail_job(job_id(), &JobFailure { reason: "exit 4".to_owned(), ..JobFailure::default() })
        .await
        .unwrap();
    api.post_log(project, ticket, &entry).await.unwrap();
    api.complete_ticket(project, ticket, &completion).await.unwrap();
    api.retrieve_memory(project, &texts, 5).await.unwrap();
    api.index_memory(project, &texts).await.unwrap();
    api.worker_context(project, ticket).await.unwrap();
    api.settings().await.unwrap();

    let requests = server.requests().await;
    assert_eq!(requests.len(), 9);
    for request in requests {
        let expected = format!("Bearer {KEY}");
        assert_eq!(request.headers("authorization"), [&expected], "{}", request.line);
        if request.line.starts_with("POST ") {
            assert_eq!(request.headers("content-type"), ["application/json"], "{}", request.line);
            assert!(request.json().is_object(), "{}", request.line);
        }
    }
}

#[tokio::test]
async fn a_claim_names_its_project_or_none() {
    let no_job = || raw("HTTP/1.1 204 NO CONTENT\r\nConnection: close\r\n\r\n");
    let server = Server::start([no_job(), no_job()]).await;
    let (api, project) = (api(&server.url()), ProjectId::random());
    api.claim(None, None).await.unwrap();
    api.claim(Some(project), None).await.unwrap();
    let requests = server.requests().await;
    assert_eq!(requests[0].json(), json!({}));
    assert_eq!(requests[1].json(), json!({ "project_id": project }));
}

#[tokio::test]
async fn a_path_before_the_api_is_kept() {
    for (base, query) in [("/terarchitect", ""), ("/a%20b/", "?x=1#y")] {
        let server = Server::start([html("404 NOT FOUND")]).await;
        let api = api(&format!("{}{base}{query}", server.url()));
        let error = api.complete_job(job_id(), HeldBy::default()).await.unwrap_err();
        let path = format!("{}/api/worker/jobs/{JOB}/complete", base.trim_end_matches('/'));
        assert_eq!(server.requests().await[0].line, format!("POST {path} HTTP/1.1"));
        assert!(error.to_string().starts_with(&format!("POST {path}: ")), "{error}");
    }
}

#[tokio::test]
async fn space_around_the_key_is_not_part_of_it_and_a_blank_key_is_none() {
    for (key, expected) in [(" k-1\n", vec!["Bearer k-1"]), (" \n", vec![])] {
        let server = Server::start([json_reply("200 OK", &json!({}))]).await;
        let url = Url::parse(&server.url()).unwrap();
        let api = WorkerApi::new(&url, Some(Secret::from(key)), "test/1").unwrap();
        api.settings().await.unwrap();
        assert_eq!(server.requests().await[0].headers("authorization"), expected);
    }
}

#[tokio::test]
async fn text_that_the_app_cannot_store_is_cleaned_on_the_wire() {
    let (project, ticket) = (ProjectId::random(), TicketId::random());
    let server = Server::start(vec![json_reply("200 OK", &json!({})); 5]).await;
    let api = api(&server.url());
    let bad = || "a\0b".to_owned();
    let entry =
        LogEntry { session_id: bad(), step: bad(), summary: bad(), raw_output: Some(bad()) };
    let completion = TicketCompletion {
        summary: bad(),
        pr_url: Some(bad()),
        pr_number: Some(7),
        review_comment_body: Some(bad()),
    };
    api.post_log(project, ticket, &entry).await.unwrap();
    api.complete_ticket(project, ticket, &completion).await.unwrap();
    api.fail_job(job_id(), &JobFailure { reason: bad(), ..JobFailure::default() }).await.unwrap();
    api.retrieve_memory(project, &[bad()], 5).await.unwrap();
    api.index_memory(project, &[bad()]).await.unwrap();
    for request in server.requests().await {
        let body = request.json().to_string();
        assert!(!body.contains("\\u0000"), "{body}");
        assert!(body.contains("a\u{fffd}b"), "{body}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let other = Server::start([html("200 OK")]).await;
    let reply = format!(
        "HTTP/1.1 307 TEMPORARY REDIRECT\r\nLocation: {}/\r\nContent-Length: 0\r\n\r\n",
        other.url()
    );
    let error = claim_error(raw(&reply)).await;
    assert!(matches!(error, ApiError::Refused { status: 307, .. }), "{error:?}");
    assert!(other.requests().await.is_empty());
}

#[tokio::test]
async fn an_endless_answer_is_given_up() {
    let mut reply = raw("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    reply.resize(40 << 20, b' ');
    let error = claim_error(reply).await;
    assert!(matches!(error, ApiError::Malformed { job: None, .. }), "{error:?}");
}

#[test]
fn a_url_that_cannot_be_used_is_refused_without_its_credentials() {
    for text in ["ftp://app/", "mailto:a@b", "http://me:hunter2@app:5010/"] {
        let error = WorkerApi::new(&Url::parse(text).unwrap(), None, "test/1").unwrap_err();
        assert!(matches!(error, ClientError::BaseUrl { .. }), "{text}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_key_that_no_header_can_carry_is_refused_without_being_shown() {
    let url = Url::parse("http://app:5010").unwrap();
    let error = WorkerApi::new(&url, Some(Secret::from("worker\nkey")), "test/1").unwrap_err();
    assert!(matches!(error, ClientError::Key));
    assert!(!format!("{error} {error:?}").contains("worker"));
}
