//! Leases, driven by the real client against the real binary: what expires, who is fenced, what an
//! outage of the server does.

use std::time::{Duration, Instant};

use api_client::wire::HeldBy;
use api_client::{ApiError, ClaimId, JobId};
use nix::sys::signal::Signal;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{App, PATIENCE, by, claim, claimed_as, failure, fenced, ticket_path};

/// Expires fast, so that tests can wait for it.
const SHORT: &[&str] = &["--lease-sec", "0.2"];

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
    let begun = Instant::now();
    while app.job(lost).await["status"] == "running" {
        assert!(begun.elapsed() < PATIENCE, "the lease of the silent one does not end");
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
async fn an_outage_of_the_server_takes_no_job_from_its_holder() {
    let mut app = App::start_with(&["--lease-sec", "1"]);
    app.waiting(1).await;
    let id = ClaimId::random();
    let job = claimed_as(&app.worker_api(), id).await.job_id;
    let claimed = Instant::now();
    app.kill();
    // The lease would be over: what is tried is that time passes, and nobody is there to see it.
    tokio::time::sleep_until((claimed + Duration::from_millis(1_500)).into()).await;
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
