//! Claims with an id, and their leases, driven by the real client against the real binary: what is
//! asked for twice, what expires, who is fenced, what a restart does.

#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "the harness serves several test binaries")]

mod harness;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use api_client::wire::{HeldBy, Job, JobFailure, Lease};
use api_client::{ApiError, ClaimId, JobId, WorkerApi};
use harness::{App, claim, claim_as, ticket_path};
use nix::sys::signal::Signal;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Expires fast, so that tests can wait for it.
const SHORT: &[&str] = &["--lease-sec", "0.2"];

fn by(claim: ClaimId) -> HeldBy {
    HeldBy { claim_id: Some(claim) }
}

fn failure(claim: ClaimId, cause: &str) -> JobFailure {
    JobFailure {
        reason: "as told".to_owned(),
        cause: Some(cause.to_owned()),
        claim_id: Some(claim),
    }
}

#[track_caller]
fn fenced<T: std::fmt::Debug>(answer: Result<T, ApiError>) -> String {
    match answer.unwrap_err() {
        ApiError::Refused { status: 409, message, .. } => message,
        other => panic!("{other:?}"),
    }
}

async fn claimed_as(api: &WorkerApi, claim: ClaimId) -> Job {
    claim_as(api, claim).await.unwrap()
}

async fn running(app: &App) -> usize {
    app.get("/api/jobs?status=running").await.as_array().unwrap().len()
}

#[tokio::test]
async fn the_same_claim_id_brings_the_same_job_and_counts_once() {
    let app = App::start();
    app.waiting(2).await;
    let (api, id) = (app.worker_api(), ClaimId::random());
    let first = claimed_as(&api, id).await;
    assert_eq!(first.lease, Some(Lease { claim_id: id, lease_sec: 90 }));
    for _ in 0..3 {
        assert_eq!(claimed_as(&api, id).await.job_id, first.job_id);
    }
    // Also where the project filter would not let it through.
    let other = app.add_project().await;
    let api_client::Claim::Job(again) = api.claim(Some(other), Some(id)).await.unwrap() else {
        panic!("no job");
    };
    assert_eq!(again.job_id, first.job_id);
    assert_eq!(app.job(first.job_id).await["attempt"], 1);
    assert_eq!(running(&app).await, 1);
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_loses_no_job() {
    let app = App::start();
    app.waiting(1).await;
    let id = ClaimId::random();
    let body = json!({ "claim_id": id }).to_string();
    let mut stream = TcpStream::connect(app.url.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!(
        "POST /api/worker/jobs/start HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        harness::KEY,
        body.len(),
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    // The job is given away, and no one reads the answer.
    let taken = async || running(&app).await == 1;
    while !taken().await {
        tokio::task::yield_now().await;
    }
    drop(stream);
    let job = claimed_as(&app.worker_api(), id).await;
    assert_eq!(app.job(job.job_id).await["attempt"], 1);
    assert_eq!(app.job(job.job_id).await["claim_id"], json!(id));
}

#[tokio::test]
async fn many_claim_ids_asked_twice_at_once_bring_each_its_own_job() {
    let app = App::start();
    app.waiting(30).await;
    let ids: Vec<_> = (0..30).map(|_| ClaimId::random()).collect();
    let tasks: Vec<_> = ids
        .iter()
        .flat_map(|id| [*id, *id])
        .map(|id| {
            let api = app.worker_api();
            tokio::spawn(async move { (id, claimed_as(&api, id).await.job_id) })
        })
        .collect();
    let mut pairs: HashSet<(ClaimId, JobId)> = HashSet::new();
    for task in tasks {
        pairs.insert(task.await.unwrap());
    }
    assert_eq!(pairs.len(), 30, "the same id brought two jobs");
    assert_eq!(pairs.into_iter().map(|(_, job)| job).collect::<HashSet<_>>().len(), 30);
    let jobs = app.get("/api/jobs").await;
    assert!(jobs.as_array().unwrap().iter().all(|job| job["attempt"] == 1), "{jobs}");
}

#[tokio::test]
async fn a_claim_id_is_over_with_its_job_and_brings_no_other() {
    let app = App::start();
    let project = app.waiting(2).await;
    let (api, id) = (app.worker_api(), ClaimId::random());
    let job = claimed_as(&api, id).await;
    api.complete_job(job.job_id, by(id)).await.unwrap();
    assert_eq!(fenced(api.claim(None, Some(id)).await), "Claim is over");
    let body = json!({ "claim_id": id });
    let start = "/api/worker/jobs/start";
    let (status, answer) = app.call(Method::POST, start, Some(body.clone())).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(answer, json!({"error": "Claim is over", "status": "completed"}));
    assert_eq!(fenced(api.renew_lease(job.job_id, id).await), "Claim is over");

    let path = ticket_path(project, job.ticket_id, "");
    assert_eq!(app.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let (status, answer) = app.call(Method::POST, start, Some(body)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(answer, json!({"error": "Claim is over", "status": null}));
    assert_ne!(claimed_as(&api, ClaimId::random()).await.job_id, job.job_id);
}

#[tokio::test]
async fn an_id_that_brought_nothing_may_be_used_again() {
    let app = App::start();
    let (api, id) = (app.worker_api(), ClaimId::random());
    assert!(claim_as(&api, id).await.is_none());
    app.waiting(1).await;
    claimed_as(&api, id).await;
}

#[tokio::test]
async fn only_a_claim_with_an_id_has_a_lease() {
    let app = App::start_with(SHORT);
    app.waiting(2).await;
    let api = app.worker_api();
    let unnamed = claim(&api, None).await.unwrap();
    assert_eq!(unnamed.lease, None);
    // The later job expires; by then the earlier one would have.
    let leased = claimed_as(&api, ClaimId::random()).await;
    app.wait_for_status(leased.job_id, "pending").await;
    assert_eq!(app.job(unnamed.job_id).await["status"], "running");
    assert_eq!(fenced(api.renew_lease(unnamed.job_id, ClaimId::random()).await), "Claim is over");
    api.complete_job(unnamed.job_id, HeldBy::default()).await.unwrap();
}

#[tokio::test]
async fn a_late_holder_is_fenced_once_another_has_the_job() {
    let app = App::start_with(SHORT);
    app.waiting(1).await;
    let (api, late, next) = (app.worker_api(), ClaimId::random(), ClaimId::random());
    let job = claimed_as(&api, late).await.job_id;
    app.wait_for_status(job, "pending").await;
    assert_eq!(claimed_as(&api, next).await.job_id, job);

    assert_eq!(fenced(api.renew_lease(job, late).await), "Claim is over");
    assert_eq!(fenced(api.claim(None, Some(late)).await), "Claim is over");
    fenced(api.complete_job(job, by(late)).await);
    fenced(api.fail_job(job, &failure(late, "stalled")).await);
    assert_eq!(app.job(job).await["attempt"], 2);
    api.complete_job(job, by(next)).await.unwrap();
    assert_eq!(app.job(job).await["status"], "completed");
}

#[tokio::test]
async fn a_claim_without_an_id_fences_a_late_holder_too() {
    let app = App::start_with(SHORT);
    app.waiting(1).await;
    let (api, late) = (app.worker_api(), ClaimId::random());
    let job = claimed_as(&api, late).await.job_id;
    app.wait_for_status(job, "pending").await;
    assert_eq!(claim(&api, None).await.unwrap().job_id, job);
    fenced(api.complete_job(job, by(late)).await);
    fenced(api.claim(None, Some(late)).await);
    api.complete_job(job, HeldBy::default()).await.unwrap();
}

#[tokio::test]
async fn a_late_holder_is_not_fenced_while_no_one_has_the_job() {
    let app = App::start_with(SHORT);
    app.waiting(3).await;
    let api = app.worker_api();
    let expired = async || {
        let id = ClaimId::random();
        let job = claimed_as(&api, id).await.job_id;
        app.wait_for_status(job, "pending").await;
        (id, job)
    };
    let (id, job) = expired().await;
    api.renew_lease(job, id).await.unwrap();
    let shown = app.job(job).await;
    assert_eq!(shown["attempt"], 1, "{shown}");
    api.complete_job(job, by(id)).await.unwrap();

    let (id, job) = expired().await;
    api.fail_job(job, &failure(id, "deadline")).await.unwrap();
    let shown = app.job(job).await;
    assert_eq!((&shown["status"], &shown["fail_cause"]), (&json!("failed"), &json!("deadline")));

    let (id, job) = expired().await;
    assert_eq!(fenced_without_claim(&app, job).await, "pending");
    assert_eq!(claimed_as(&api, id).await.job_id, job);
    assert_eq!(app.job(job).await["attempt"], 1);
}

/// The state that a report without a claim is refused with.
async fn fenced_without_claim(app: &App, job: JobId) -> String {
    let path = format!("/api/worker/jobs/{job}/complete");
    let (status, body) = app.post_raw(&path, None, "").await;
    assert_eq!((status, &body["error"]), (StatusCode::CONFLICT, &json!("Job not running")));
    body["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_heartbeat_keeps_the_lease() {
    let app = App::start_with(&["--lease-sec", "2"]);
    app.waiting(2).await;
    let (api, alive, silent) = (app.worker_api(), ClaimId::random(), ClaimId::random());
    let kept = claimed_as(&api, alive).await.job_id;
    let lost = claimed_as(&api, silent).await.job_id;
    let path = format!("/api/worker/jobs/{kept}/heartbeat");
    while app.job(lost).await["status"] == "running" {
        let (status, answer) =
            app.call(Method::POST, &path, Some(json!({ "claim_id": alive }))).await;
        assert_eq!((status, answer), (StatusCode::OK, json!({"job_id": kept, "lease_sec": 2})));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(app.job(kept).await["status"], "running", "it was claimed first");
    let error = api.renew_lease(JobId::random(), alive).await.unwrap_err();
    assert!(matches!(error, ApiError::Gone { .. }), "{error:?}");
    for (body, words) in [
        (json!({}), "claim_id is required"),
        (json!({"claim_id": "five"}), "claim_id must be a valid UUID"),
    ] {
        let (status, answer) = app.call(Method::POST, &path, Some(body)).await;
        assert_eq!((status, &answer["error"]), (StatusCode::BAD_REQUEST, &json!(words)));
    }
}

#[tokio::test]
async fn a_job_that_no_one_finishes_is_failed_after_its_last_attempt() {
    let app = App::start_with(SHORT);
    app.waiting(1).await;
    let api = app.worker_api();
    let mut last = ClaimId::random();
    let job = claimed_as(&api, last).await.job_id;
    for attempt in 1..3 {
        let shown = app.wait_for_status(job, "pending").await;
        assert_eq!(shown["attempt"], attempt);
        last = ClaimId::random();
        assert_eq!(claimed_as(&api, last).await.job_id, job);
    }
    let shown = app.wait_for_status(job, "failed").await;
    assert_eq!(shown["fail_reason"], "lease expired 3 times: no coordinator finished it");
    assert_eq!((&shown["fail_cause"], &shown["attempt"]), (&json!("lease_expired"), &json!(3)));
    assert!(shown["finished_at"].is_string());
    fenced(api.complete_job(job, by(last)).await);
    assert!(claim(&api, None).await.is_none());
}

#[tokio::test]
async fn a_job_that_was_to_stop_is_cancelled_by_the_expiry_and_not_given_away() {
    let app = App::start_with(SHORT);
    app.waiting(1).await;
    let (api, id) = (app.worker_api(), ClaimId::random());
    let job = claimed_as(&api, id).await;
    let cancel = ticket_path(job.project_id, job.ticket_id, "/cancel");
    app.post_raw(&cancel, None, "").await;
    app.wait_for_status(job.job_id, "cancelled").await;
    assert!(claim(&api, None).await.is_none());
    fenced(api.renew_lease(job.job_id, id).await);
}

#[tokio::test]
async fn a_failure_with_the_cause_cancelled_is_a_cancelled_job() {
    let app = App::start();
    app.waiting(1).await;
    let (api, id) = (app.worker_api(), ClaimId::random());
    let job = claimed_as(&api, id).await.job_id;
    api.fail_job(job, &failure(id, "cancelled")).await.unwrap();
    let shown = app.job(job).await;
    assert_eq!(
        (&shown["status"], &shown["fail_cause"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    assert_eq!(shown["fail_reason"], "as told");
}

#[tokio::test]
async fn a_claim_id_that_is_no_uuid_is_refused_by_name() {
    let app = App::start();
    let job = app.claimed().await.job_id;
    let body = json!({ "claim_id": "five" });
    for path in [
        "/api/worker/jobs/start".to_owned(),
        format!("/api/worker/jobs/{job}/complete"),
        format!("/api/worker/jobs/{job}/fail"),
    ] {
        let (status, answer) = app.call(Method::POST, &path, Some(body.clone())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(answer["error"], "claim_id must be a valid UUID");
    }
    assert_eq!(app.job(job).await["status"], "running");
}

#[tokio::test]
async fn an_outage_of_the_server_takes_no_job_from_its_holder() {
    let mut app = App::start_with(&["--lease-sec", "1"]);
    app.waiting(1).await;
    let id = ClaimId::random();
    let job = claimed_as(&app.worker_api(), id).await.job_id;
    let claimed = Instant::now();
    app.kill();
    while claimed.elapsed() < Duration::from_millis(1_500) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let restarted = Instant::now();
    app.restart();
    app.wait_for_status(job, "pending").await;
    assert!(restarted.elapsed() >= Duration::from_secs(1), "{:?}", restarted.elapsed());
    // The claim is known after the restart as well.
    app.kill_and_restart();
    assert_eq!(claimed_as(&app.worker_api(), id).await.job_id, job);
    assert_eq!(app.job(job).await["attempt"], 1);
}

#[tokio::test]
async fn the_sweep_ends_with_the_server() {
    let mut app = App::start_with(SHORT);
    app.waiting(1).await;
    claimed_as(&app.worker_api(), ClaimId::random()).await;
    app.wait_for_log("lease expired");
    app.signal(Signal::SIGTERM);
    assert!(app.wait().success());
}

/// What the original does with all of it: nothing.
#[tokio::test]
async fn the_original_knows_no_claims_and_no_leases() {
    let app = App::start_with(&["--original"]);
    app.waiting(2).await;
    let (api, id) = (app.worker_api(), ClaimId::random());
    let first = claimed_as(&api, id).await;
    assert_eq!(first.lease, None);
    let second = claimed_as(&api, id).await;
    assert_ne!(first.job_id, second.job_id, "it asks for a job, not for its own");
    let error = api.renew_lease(first.job_id, id).await.unwrap_err();
    assert!(matches!(error, ApiError::Gone { .. }), "{error:?}");
    api.complete_job(first.job_id, by(ClaimId::random())).await.unwrap();
    let stranger = failure(ClaimId::random(), "cancelled");
    api.fail_job(second.job_id, &stranger).await.unwrap();
    let shown = app.job(second.job_id).await;
    assert_eq!((&shown["status"], &shown["fail_cause"]), (&json!("failed"), &Value::Null));
    let body = json!({"claim_id": 5});
    let (status, _) = app.call(Method::POST, "/api/worker/jobs/start", Some(body)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_original_never_forgets_a_request_to_cancel_but_by_a_restart() {
    let mut app = App::start_with(&["--original"]);
    let job = app.claimed().await;
    let (project, ticket) = (job.project_id, job.ticket_id);
    let api = app.worker_api();
    assert!(!api.cancel_requested(project, ticket).await.unwrap());
    let path = ticket_path(project, ticket, "/cancel");
    let (status, body) = app.post_raw(&path, None, "").await;
    assert_eq!((status, body), (StatusCode::OK, json!({"message": "Cancellation requested"})));
    api.fail_job(job.job_id, &JobFailure::default()).await.unwrap();
    app.start_ticket(project, ticket).await;
    app.post_raw(&path, None, "").await;
    let next = claim(&api, None).await.unwrap();
    assert_eq!(next.ticket_id, ticket, "a waiting job is not withdrawn");
    assert!(api.cancel_requested(project, ticket).await.unwrap());
    app.kill_and_restart();
    assert!(!app.worker_api().cancel_requested(project, ticket).await.unwrap());
}
