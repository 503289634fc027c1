//! Jobs that wait for a provider's limit to be over, by the real client against the real server.

use std::time::Duration;

use api_client::wire::{Job, JobPause, Parked};
use api_client::{ApiError, ClaimId, UtcTime, WorkerApi};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{App, by, claim_as, claimed_as, fenced, ticket_path};

fn pause(claim: ClaimId, seconds: u64) -> JobPause {
    let until = UtcTime::after(Duration::from_secs(seconds));
    JobPause { claim_id: claim, until, reason: "429 of the model".to_owned(), usage: None }
}

/// A job that is parked for an hour, and who parked it.
async fn parked(app: &App, api: &WorkerApi) -> (Job, ClaimId) {
    app.waiting(1).await;
    let claim = ClaimId::random();
    let job = claimed_as(api, claim).await;
    api.park_job(job.job_id, &pause(claim, 3_600)).await.unwrap();
    (job, claim)
}

#[tokio::test]
async fn a_parked_job_waits_is_no_attempt_and_its_claim_is_over() {
    let app = App::start();
    let api = app.worker_api();
    let (job, claim) = parked(&app, &api).await;
    let shown = app.job(job.job_id).await;
    assert_eq!((&shown["status"], &shown["attempt"]), (&json!("pending"), &json!(0)));
    assert_eq!(shown["parked_for"], "429 of the model");
    assert_eq!(claim_as(&api, ClaimId::random()).await.map(|job| job.job_id), None);
    fenced(api.claim(None, Some(claim)).await);
    fenced(api.renew_lease(job.job_id, claim).await);
    fenced(api.complete_job(job.job_id, by(claim)).await);
    let waiting = api.queue().await.unwrap().unwrap().projects[&job.project_id];
    assert_eq!((waiting.jobs, waiting.parked), (0, 1));
    assert!(waiting.parked_until.is_some());
}

#[tokio::test]
async fn a_report_that_comes_twice_parks_once_and_another_claim_is_fenced() {
    let mut app = App::start();
    let api = app.worker_api();
    let (job, claim) = parked(&app, &api).await;
    let due = app.job(job.job_id).await["not_before"].clone();
    app.kill_and_restart();
    let api = app.worker_api();
    api.park_job(job.job_id, &pause(claim, 9)).await.unwrap();
    assert_eq!(app.job(job.job_id).await["not_before"], due);
    fenced(api.park_job(job.job_id, &pause(ClaimId::random(), 9)).await);
}

#[tokio::test]
async fn a_person_can_cancel_a_parked_job_and_have_it_due_at_once() {
    let app = App::start();
    let api = app.worker_api();
    let (job, _) = parked(&app, &api).await;
    api.retry_job(job.job_id).await.unwrap();
    let claim = ClaimId::random();
    assert_eq!(claimed_as(&api, claim).await.job_id, job.job_id);
    api.park_job(job.job_id, &pause(claim, 3_600)).await.unwrap();
    app.start_ticket(job.project_id, job.ticket_id).await;
    let claim = ClaimId::random();
    assert_eq!(claimed_as(&api, claim).await.job_id, job.job_id);
    api.park_job(job.job_id, &pause(claim, 3_600)).await.unwrap();
    let path = ticket_path(job.project_id, job.ticket_id, "/cancel");
    let (status, _) = app.call(Method::POST, &path, Some(json!({}))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(app.job(job.job_id).await["status"], "cancelled");
}

#[tokio::test]
async fn a_job_that_was_to_stop_meanwhile_is_cancelled_and_one_that_is_parked_too_often_fails() {
    let app = App::start();
    let api = app.worker_api();
    app.waiting(1).await;
    let claim = ClaimId::random();
    let job = claimed_as(&api, claim).await;
    let path = ticket_path(job.project_id, job.ticket_id, "/cancel");
    app.call(Method::POST, &path, Some(json!({}))).await;
    let told = api.park_job(job.job_id, &pause(claim, 60)).await.unwrap();
    assert_eq!(told, Parked::Cancelled);
    assert_eq!(app.job(job.job_id).await["status"], "cancelled");

    let (job, _) = parked(&app, &api).await;
    let mut told = Parked::Waits;
    for _ in 0..10 {
        assert_eq!(told, Parked::Waits);
        api.retry_job(job.job_id).await.unwrap();
        let claim = ClaimId::random();
        claimed_as(&api, claim).await;
        told = api.park_job(job.job_id, &pause(claim, 60)).await.unwrap();
    }
    assert_eq!(told, Parked::Failed);
    let shown = app.job(job.job_id).await;
    assert_eq!((&shown["status"], &shown["fail_cause"]), (&json!("failed"), &json!("parked")));
}

#[tokio::test]
async fn an_app_without_leases_offers_no_pause() {
    let app = App::start_with(&["--original"]);
    let job = app.claimed().await;
    let refused = app.worker_api().park_job(job.job_id, &pause(ClaimId::random(), 60)).await;
    assert!(matches!(refused, Err(ApiError::Gone { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_budget_of_the_day_reaches_the_claimed_jobs_settings() {
    let app = App::start();
    let project = app.waiting(1).await;
    let path = format!("/api/projects/{project}");
    let body = json!({"token_budget_per_day": 5_000, "money_budget_per_day_usd": 2.5});
    let (status, shown) = app.call(Method::PATCH, &path, Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{shown}");
    let job = claimed_as(&app.worker_api(), ClaimId::random()).await;
    let value = |name| job.agent_env.get(name).map(|value| value.expose().to_owned());
    assert_eq!(value("WORKER_TOKENS_LEFT").as_deref(), Some("5000"));
    assert_eq!(value("WORKER_MONEY_LEFT").as_deref(), Some("2.5"));
    for wrong in [json!(0), json!(-1), json!("5")] {
        for name in ["token_budget_per_day", "money_budget_per_day_usd"] {
            let (status, _) = app.call(Method::PATCH, &path, Some(json!({ name: wrong }))).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{name} {wrong}");
        }
    }
    let off = json!({"token_budget_per_day": null, "money_budget_per_day_usd": null});
    let (_, shown) = app.call(Method::PATCH, &path, Some(off)).await;
    assert!(shown["token_budget_per_day"].is_null() && shown["money_budget_per_day_usd"].is_null());
}
