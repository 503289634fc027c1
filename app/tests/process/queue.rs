//! The queue, driven by the real client against the real binary: claims, outcomes, cancelling,
//! restarts.

use std::collections::HashSet;

use api_client::wire::{HeldBy, JobFailure, JobKind, LogEntry, QueueFacts, TicketCompletion};
use api_client::{ApiError, JobId};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{App, claim, ticket_path};

fn failure(reason: &str) -> JobFailure {
    JobFailure { reason: reason.to_owned(), ..JobFailure::default() }
}

#[tokio::test]
async fn a_ticket_goes_from_the_board_to_review() {
    let app = App::start();
    let (api, project) = (app.worker_api(), app.add_project().await);
    assert!(claim(&api, None).await.is_none());
    let ticket = app.add_ticket(project, "Add login").await;
    assert!(claim(&api, None).await.is_none(), "a ticket in the backlog has no job");
    app.start_ticket(project, ticket).await;

    let job = claim(&api, None).await.unwrap();
    assert_eq!((job.project_id, job.ticket_id), (project, ticket));
    assert_eq!(job.kind, JobKind::Ticket);
    assert_eq!(job.repo_url.as_deref(), Some("https://github.com/acme/demo"));
    let context = api.worker_context(project, ticket).await.unwrap();
    let current = context.current_ticket.unwrap();
    assert_eq!((current.title.as_str(), current.description.as_str()), ("Add login", "do it"));
    assert_eq!(context.project_name, "demo");
    assert_eq!(context.in_progress_tickets[0].id, ticket.to_string());

    let entry = LogEntry {
        session_id: "s-1".to_owned(),
        step: "session_started".to_owned(),
        summary: "Started".to_owned(),
        raw_output: Some("line".to_owned()),
    };
    api.post_log(project, ticket, &entry).await.unwrap();
    let completion = TicketCompletion {
        summary: "Login added".to_owned(),
        pr_url: Some("https://github.com/acme/demo/pull/7".to_owned()),
        pr_number: Some(7),
        review_comment_body: None,
    };
    for _ in 0..2 {
        api.complete_ticket(project, ticket, &completion).await.unwrap();
    }
    api.complete_job(job.job_id, HeldBy::default()).await.unwrap();

    let shown = app.get(&ticket_path(project, ticket, "")).await;
    assert_eq!((&shown["column_id"], &shown["status"]), (&json!("in_review"), &json!("completed")));
    assert_eq!((&shown["pr_number"], &shown["summary"]), (&json!(7), &json!("Login added")));
    assert_eq!(shown["job"], json!({"job_id": job.job_id, "status": "completed"}));
    let logs = app.get(&ticket_path(project, ticket, "/logs")).await;
    assert_eq!(logs[0]["step"], "session_started");
    assert_eq!(logs[0]["raw_output"], "line");
    let done = app.job(job.job_id).await;
    assert_eq!((&done["status"], &done["attempt"]), (&json!("completed"), &json!(1)));
    assert!(done["claimed_at"].is_string() && done["finished_at"].is_string(), "{done}");
}

#[tokio::test]
async fn jobs_are_claimed_in_the_order_of_their_creation_and_by_project() {
    let app = App::start();
    let api = app.worker_api();
    let (first, second) = (app.add_project().await, app.add_project().await);
    let mut expected = Vec::new();
    for project in [first, second, first, second] {
        let ticket = app.add_ticket(project, "t").await;
        app.start_ticket(project, ticket).await;
        expected.push(ticket);
    }
    let of_second = claim(&api, Some(second)).await.unwrap();
    assert_eq!(of_second.ticket_id, expected[1]);
    for ticket in [expected[0], expected[2], expected[3]] {
        assert_eq!(claim(&api, None).await.unwrap().ticket_id, ticket);
    }
    assert!(claim(&api, Some(first)).await.is_none());
}

#[tokio::test]
async fn a_hundred_jobs_go_to_eight_claimers_once_each() {
    let app = App::start();
    let project = app.add_project().await;
    for number in 0..100 {
        let ticket = app.add_ticket(project, &format!("t{number}")).await;
        app.start_ticket(project, ticket).await;
    }
    let claimers = (0..8).map(|_| {
        let api = app.worker_api();
        tokio::spawn(async move {
            let mut jobs = Vec::new();
            while let Some(job) = claim(&api, None).await {
                jobs.push(job.job_id);
            }
            jobs
        })
    });
    let claimers: Vec<_> = claimers.collect();
    let mut jobs = Vec::new();
    for claimer in claimers {
        jobs.extend(claimer.await.unwrap());
    }
    assert_eq!(jobs.len(), 100);
    assert_eq!(jobs.into_iter().collect::<HashSet<_>>().len(), 100);
    assert_eq!(app.get("/api/jobs?status=running").await.as_array().unwrap().len(), 100);
    assert_eq!(app.get("/api/jobs?status=pending").await, json!([]));
}

#[tokio::test]
async fn the_first_report_stands() {
    let app = App::start();
    let (job, api) = (app.claimed().await, app.worker_api());
    api.fail_job(job.job_id, &failure("worker exited with 4")).await.unwrap();
    let error = api.complete_job(job.job_id, HeldBy::default()).await.unwrap_err();
    assert!(matches!(error, ApiError::Refused { status: 409, .. }), "{error:?}");
    let path = format!("/api/worker/jobs/{}/fail", job.job_id);
    let (status, body) = app.post_raw(&path, None, "").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body, json!({"error": "Job not running", "status": "failed"}));
    assert_eq!(app.job(job.job_id).await["fail_reason"], "worker exited with 4");

    let error = api.complete_job(JobId::random(), HeldBy::default()).await.unwrap_err();
    assert!(matches!(error, ApiError::Gone { .. }), "{error:?}");
}

#[tokio::test]
async fn an_outcome_is_taken_whatever_its_body_is() {
    let app = App::start();
    for (kind, body) in [(None, ""), (None, "{bad"), (Some("text/plain"), "x")] {
        let job = app.claimed().await;
        let path = format!("/api/worker/jobs/{}/fail", job.job_id);
        let (status, body) = app.post_raw(&path, kind, body).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body, json!({"job_id": job.job_id, "message": "Job failed"}));
        assert!(app.job(job.job_id).await["fail_reason"].is_null());
    }
    let job = app.claimed().await;
    app.worker_api().fail_job(job.job_id, &failure(&"é".repeat(9_000))).await.unwrap();
    let kept = app.job(job.job_id).await["fail_reason"].as_str().unwrap().chars().count();
    assert_eq!(kept, 8_000);
}

#[tokio::test]
async fn a_ticket_has_one_job_at_a_time_and_gets_another_after_a_failure() {
    let app = App::start();
    let (job, api) = (app.claimed().await, app.worker_api());
    for _ in 0..2 {
        let ticket = app.start_ticket(job.project_id, job.ticket_id).await;
        assert_eq!(ticket["job"]["job_id"], json!(job.job_id));
    }
    assert!(claim(&api, None).await.is_none());
    api.fail_job(job.job_id, &failure("x")).await.unwrap();
    app.start_ticket(job.project_id, job.ticket_id).await;
    let again = claim(&api, None).await.unwrap();
    assert_ne!(again.job_id, job.job_id);
    assert_eq!(again.ticket_id, job.ticket_id);
}

#[tokio::test]
async fn a_job_that_has_ended_is_queued_again_and_one_that_has_not_is_not() {
    let app = App::start();
    let (api, project) = (app.worker_api(), app.add_project().await);
    let ticket = app.add_ticket(project, "Add login").await;
    app.start_ticket(project, ticket).await;
    let first = claim(&api, None).await.unwrap().job_id;
    let refused = api.retry_job(first).await.unwrap_err();
    assert!(matches!(refused, ApiError::Refused { status: 409, .. }), "{refused}");
    api.fail_job(first, &failure("no")).await.unwrap();
    let second = api.retry_job(first).await.unwrap();
    assert_ne!(second, first);
    let refused = api.retry_job(first).await.unwrap_err();
    assert!(matches!(refused, ApiError::Refused { status: 409, .. }), "{refused}");
    assert_eq!(claim(&api, None).await.unwrap().job_id, second);
    let unknown = api.retry_job(JobId::random()).await.unwrap_err();
    assert!(
        matches!(&unknown, ApiError::Gone { message, .. } if message == "Job not found"),
        "{unknown}"
    );
}

#[tokio::test]
async fn a_request_to_cancel_ends_with_its_job() {
    let mut app = App::start();
    let job = app.claimed().await;
    let (project, ticket) = (job.project_id, job.ticket_id);
    let api = app.worker_api();
    assert!(!api.cancel_requested(project, ticket).await.unwrap());
    let path = ticket_path(project, ticket, "/cancel");
    let (status, body) = app.post_raw(&path, None, "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body, json!({"message": "Cancellation requested", "effect": "asked"}));
    assert!(api.cancel_requested(project, ticket).await.unwrap());

    app.kill_and_restart();
    let api = app.worker_api();
    assert!(api.cancel_requested(project, ticket).await.unwrap(), "lost by the restart");
    api.fail_job(job.job_id, &failure("cancelled")).await.unwrap();
    app.start_ticket(project, ticket).await;
    assert!(!api.cancel_requested(project, ticket).await.unwrap());
    claim(&api, None).await.unwrap();
    assert!(!api.cancel_requested(project, ticket).await.unwrap());
}

#[tokio::test]
async fn cancelling_takes_a_waiting_job_out_of_the_queue() {
    let app = App::start();
    let (api, project) = (app.worker_api(), app.add_project().await);
    let ticket = app.add_ticket(project, "t").await;
    let path = ticket_path(project, ticket, "/cancel");
    let (_, body) = app.post_raw(&path, None, "").await;
    assert_eq!(body["effect"], "nothing_active");
    let shown = app.start_ticket(project, ticket).await;
    let (_, body) = app.post_raw(&path, None, "").await;
    assert_eq!(body["effect"], "withdrawn");
    assert!(claim(&api, None).await.is_none());
    let id = shown["job"]["job_id"].as_str().unwrap();
    let job = app.get(&format!("/api/jobs/{id}")).await;
    assert_eq!((&job["status"], &job["attempt"]), (&json!("cancelled"), &json!(0)));
}

#[tokio::test]
async fn the_queue_survives_the_death_of_the_server() {
    let mut app = App::start();
    let running = app.claimed().await;
    let project = app.add_project().await;
    let waiting = app.add_ticket(project, "waits").await;
    app.start_ticket(project, waiting).await;
    app.kill_and_restart();
    let api = app.worker_api();
    assert_eq!(app.job(running.job_id).await["status"], "running");
    let next = claim(&api, None).await.unwrap();
    assert_eq!(next.ticket_id, waiting);
    assert!(claim(&api, None).await.is_none());
    api.complete_job(running.job_id, HeldBy::default()).await.unwrap();
}

#[tokio::test]
async fn a_review_job_carries_its_comment_and_waits_for_no_other_job() {
    let app = App::start();
    let (job, api) = (app.claimed().await, app.worker_api());
    let path = ticket_path(job.project_id, job.ticket_id, "/reviews");
    let comment = "Also add tests ".repeat(20_000);
    let body = json!({"pr_number": 9, "comment_body": comment, "github_comment_id": 1003});
    let (status, refusal) = app.call(Method::POST, &path, Some(body.clone())).await;
    assert_eq!((status, &refusal["status"]), (StatusCode::CONFLICT, &json!("running")));
    api.complete_job(job.job_id, HeldBy::default()).await.unwrap();
    let (status, queued) = app.call(Method::POST, &path, Some(body.clone())).await;
    assert_eq!((status, &queued["kind"]), (StatusCode::CREATED, &json!("review")));
    let ticket = app.add_ticket(job.project_id, "of the same pull request").await;
    let path = ticket_path(job.project_id, ticket, "/reviews");
    let (status, refusal) = app.call(Method::POST, &path, Some(body)).await;
    assert_eq!((status, &refusal["status"]), (StatusCode::CONFLICT, &json!("pending")));
    let review = claim(&api, None).await.unwrap();
    let expected =
        JobKind::Review { pr_number: 9, comment_body: comment, github_comment_id: Some(1003) };
    assert_eq!(review.kind, expected);
}

#[tokio::test]
async fn a_local_project_names_its_path() {
    let app = App::start();
    let body = json!({"name": "l", "execution_mode": "local", "project_path": "/srv/demo"});
    let (_, project) = app.call(Method::POST, "/api/projects", Some(body)).await;
    let project = serde_json::from_value(project["id"].clone()).unwrap();
    let ticket = app.add_ticket(project, "t").await;
    app.start_ticket(project, ticket).await;
    let job = claim(&app.worker_api(), Some(project)).await.unwrap();
    assert_eq!(job.execution_mode, api_client::wire::ExecutionMode::Local);
    assert_eq!(job.project_path.unwrap().to_str(), Some("/srv/demo"));
    assert_eq!(job.agent_env.get("GITHUB_TOKEN"), None);
}

#[tokio::test]
async fn nothing_is_deleted_under_a_job() {
    let app = App::start();
    let job = app.claimed().await;
    let ticket = ticket_path(job.project_id, job.ticket_id, "");
    let project = format!("/api/projects/{}", job.project_id);
    for path in [&ticket, &project] {
        let (status, body) = app.call(Method::DELETE, path, None).await;
        assert_eq!((status, &body["status"]), (StatusCode::CONFLICT, &json!("running")));
    }
    app.worker_api().complete_job(job.job_id, HeldBy::default()).await.unwrap();
    for path in [&ticket, &project] {
        let (status, _) = app.call(Method::DELETE, path, None).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        let (status, _) = app.call(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
    let (status, _) = app.call(Method::GET, &format!("/api/jobs/{}", job.job_id), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_waits_is_told_by_project_and_what_runs_is_not_counted() {
    let app = App::start();
    let api = app.worker_api();
    assert_eq!(api.queue().await.unwrap().unwrap(), QueueFacts::default());
    let projects = [app.add_project().await, app.add_project().await];
    for (project, jobs) in projects.into_iter().zip([3, 1]) {
        for _ in 0..jobs {
            let ticket = app.add_ticket(project, "t").await;
            app.start_ticket(project, ticket).await;
        }
    }
    claim(&api, Some(projects[0])).await.unwrap();
    let told = api.queue().await.unwrap().unwrap().projects;
    assert_eq!(projects.map(|project| told[&project].jobs), [2, 1]);
    assert!(told.values().all(|waiting| waiting.oldest_sec < 60), "{told:?}");
    claim(&api, Some(projects[1])).await.unwrap();
    assert!(!api.queue().await.unwrap().unwrap().projects.contains_key(&projects[1]));

    let original = App::start_with(&["--original"]);
    assert_eq!(original.worker_api().queue().await.unwrap(), None);
}
