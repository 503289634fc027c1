//! The mode that behaves as the original app does, so that a coordinator can be tried against both:
//! nothing of what ours adds to claims, reports and cancelling is there.

use api_client::wire::JobFailure;
use api_client::{ApiError, ClaimId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{App, by, claim, claimed_as, failure, ticket_path};

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
