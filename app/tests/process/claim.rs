//! Claims with an id, driven by the real client against the real binary: what is asked for twice,
//! and what a claim id that is over brings.

use std::collections::HashSet;

use api_client::wire::Lease;
use api_client::{ClaimId, JobId};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{App, by, claim_as, claimed_as, failure, fenced, ticket_path};

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
        crate::harness::KEY,
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
