//! Budgets of a day where jobs are lost: what is left for the next job, by the real client against the real
//! server.

use api_client::wire::{Checkpoint, Hook, Job, JobFailure, JobUsage, LogEntry};
use api_client::{ClaimId, ProjectId, WorkerApi};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{App, claim_as, claimed_as, failure, fenced};

/// So many jobs of a project that has 10,000 tokens a day.
async fn limited(app: &App, jobs: usize) -> ProjectId {
    let project = app.waiting(jobs).await;
    let (path, body) =
        (format!("/api/projects/{project}"), json!({"token_budget_per_day": 10_000}));
    let (status, shown) = app.call(Method::PATCH, &path, Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{shown}");
    project
}

/// The next job, which may use so much.
async fn next(api: &WorkerApi, claim: ClaimId, tokens: &str) -> Job {
    let job = claimed_as(api, claim).await;
    let given = job.agent_env.get("WORKER_TOKENS_LEFT").map(|value| value.expose().to_owned());
    assert_eq!(given.as_deref(), Some(tokens));
    job
}

async fn tells(api: &WorkerApi, job: &Job, tokens: u64) {
    let note = "turn 1 was finished".to_owned();
    let told = Checkpoint { hook: Hook::Turn, turn: Some(1), note, tokens };
    api.post_checkpoints(job.project_id, job.ticket_id, "s", &[told]).await.unwrap();
}

fn with_figures(claim: ClaimId, input: u64) -> JobFailure {
    let usage = Some(JobUsage { input, ..JobUsage::default() });
    JobFailure { usage, ..failure(claim, "agent") }
}

#[tokio::test]
async fn a_job_that_was_killed_counts_by_what_it_told_and_one_that_never_began_does_not() {
    let app = App::start();
    let (api, project) = (app.worker_api(), limited(&app, 4).await);
    let killed = ClaimId::random();
    let job = next(&api, killed, "10000").await;
    tells(&api, &job, 4_000).await;
    api.fail_job(job.job_id, &failure(killed, "agent_killed")).await.unwrap();

    let unstarted = ClaimId::random();
    let job = next(&api, unstarted, "6000").await;
    api.fail_job(job.job_id, &failure(unstarted, "not_started")).await.unwrap();

    let silent = ClaimId::random();
    let job = next(&api, silent, "6000").await;
    let began = LogEntry {
        session_id: "s".to_owned(),
        step: "context_loaded".to_owned(),
        summary: "Loaded".to_owned(),
        raw_output: None,
    };
    api.post_log(job.project_id, job.ticket_id, &began).await.unwrap();
    api.fail_job(job.job_id, &failure(silent, "out_of_memory")).await.unwrap();
    assert!(claim_as(&api, ClaimId::random()).await.is_none(), "it may have used all there was");
    assert_eq!(api.queue().await.unwrap().unwrap().projects[&project].over_budget, 1);
}

#[tokio::test]
async fn a_claim_that_was_taken_back_counts_and_its_late_report_takes_the_place_of_that() {
    // Long enough for a checkpoint to come before it ends.
    let app = App::start_with(&["--lease-sec", "2"]);
    let api = app.worker_api();
    let project = limited(&app, 1).await;
    let (late, second) = (ClaimId::random(), ClaimId::random());
    let job = next(&api, late, "10000").await;
    tells(&api, &job, 4_000).await;
    app.wait_for_status(job.job_id, "pending").await;
    next(&api, second, "6000").await;
    for _ in 0..2 {
        fenced(api.fail_job(job.job_id, &with_figures(late, 1_000)).await);
    }
    fenced(api.fail_job(job.job_id, &with_figures(ClaimId::random(), 5_000)).await);
    api.fail_job(job.job_id, &with_figures(second, 500)).await.unwrap();
    let ticket = app.add_ticket(project, "another").await;
    app.start_ticket(project, ticket).await;
    next(&api, ClaimId::random(), "8500").await;
}
