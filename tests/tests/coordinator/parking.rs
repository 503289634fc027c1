//! Jobs whose provider lets nobody in for a while: the app hands them out again when that is over.

use std::time::Duration;

use api_client::wire::{JobPause, Parked};
use api_client::{Claim, ClaimId, JobId, Secret, UtcTime, WorkerApi};
use integration_tests::harness::{App, AppProxy, Exchange, Job, KEY, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::outcome::leaving;
use crate::scene::Scene;

/// Ends with a pause until this many seconds from now, having used 150 tokens.
fn parks(seconds: u64) -> String {
    let until = UtcTime::after(Duration::from_secs(seconds));
    let document = json!({
        "version": 1, "verdict": "parked", "cause": "parked", "runner_version": "0.1.0",
        "summary": "the model's limit is used up", "parked": {"until": until, "what": "429"},
        "tokens": {"input": 100, "cached": 20, "output": 30},
    });
    format!("{}; exit 17", leaving(&document.to_string()))
}

async fn parked(app: &App, id: JobId) -> Job {
    eventually("a job to be parked", async || {
        let job = app.job(id).await;
        (job.status == "pending" && job.not_before.is_some()).then_some(job)
    })
    .await
}

async fn forgets_all(scene: &Scene) {
    let none = async || scene.home.records().is_empty().then_some(());
    eventually("all records to be forgotten", none).await;
}

/// What `jobs` shows of it.
async fn shown(scene: &mut Scene, id: JobId) -> Value {
    let (_, text) = scene.home.command(&["jobs", "--json"]).await;
    let listed: Value = serde_json::from_str(&text).unwrap();
    let jobs = listed["jobs"].as_array().unwrap();
    jobs.iter().find(|job| job["job"] == json!(id)).unwrap().clone()
}

/// Parks a job, for whoever has it next, as often as an app of ours takes that in a day without the last time.
async fn park_often(scene: &Scene, id: JobId) {
    let url = scene.app.url().parse().unwrap();
    let api = WorkerApi::new(&url, Some(Secret::from(KEY)), "test/1").unwrap();
    for _ in 0..10 {
        let claim_id = ClaimId::random();
        let claimed = api.claim(None, Some(claim_id)).await.unwrap();
        assert!(matches!(claimed, Claim::Job(job) if job.job_id == id));
        let until = UtcTime::after(Duration::from_secs(3_600));
        let pause = JobPause { claim_id, until, reason: "a limit".to_owned(), usage: None };
        assert_eq!(api.park_job(id, &pause).await.unwrap(), Parked::Waits);
        api.retry_job(id).await.unwrap();
    }
}

fn taken(proxy: &AppProxy, path: &str) -> Vec<Exchange> {
    let taken = |exchange: &Exchange| exchange.status == StatusCode::OK;
    proxy.exchanges(path).into_iter().filter(taken).collect()
}

#[tokio::test]
async fn a_parked_job_gives_its_slot_to_another_and_is_completed_when_it_is_due() {
    let Some(mut scene) = Scene::or_skip(&parks(1)).await else { return };
    scene.home.set("MAX_CONCURRENT_AGENTS", "1");
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    let waiting = parked(&scene.app, job.job_id).await;
    assert_eq!(waiting.attempt, 0, "a pause is no attempt");
    scene.app.set_script("pause").await;
    let other = scene.add_job().await;
    scene.engine.pausing(other.job_id).await;
    // The one slot is the other's, while the first is due: the app has it so after ten seconds.
    scene.engine.release(other.job_id).await;
    assert_eq!(scene.app.ended(other.job_id).await.status, "completed");
    scene.engine.pausing(job.job_id).await;
    scene.engine.release(job.job_id).await;
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.attempt), ("completed", 1));
    let (_, text) = scene.home.command(&["jobs"]).await;
    assert!(text.contains("completed") && !text.contains("failed"), "{text}");
    forgets_all(&scene).await;
    assert_eq!(scene.containers().await, 0);
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_pause_is_reported_once_over_a_kill_an_outage_and_a_lost_answer() {
    let Some(mut scene) = Scene::or_skip(&parks(3_600)).await else { return };
    let proxy = scene.through_proxy().await;
    let job = scene.add_job().await;
    proxy.refuse("/park", 503, 2);
    let mut first = scene.home.start();
    first.wait_for_log("outcome not delivered yet").await;
    first.kill().await;
    proxy.lose("/park", 1);
    let second = scene.home.start();
    let waiting = parked(&scene.app, job.job_id).await;
    forgets_all(&scene).await;
    let told = taken(&proxy, "/park");
    assert!(!told.is_empty() && proxy.has_lost());
    assert_eq!(scene.app.job(job.job_id).await.not_before, waiting.not_before);
    let report: Value = serde_json::from_slice(&told[0].request).unwrap();
    assert_eq!(report["usage"], json!({"input": 100, "cached": 20, "output": 30}));
    assert!(report["reason"].as_str().unwrap().contains("the model's limit is used up"));
    assert!(taken(&proxy, "/fail").is_empty() && taken(&proxy, "/complete").is_empty());
    assert_eq!(scene.containers().await, 0);
    second.terminate().await;
}

/// The app refuses every pause so.
async fn is_told_a_failure(status: u16) {
    let Some(mut scene) = Scene::or_skip(&parks(3_600)).await else { return };
    let proxy = scene.through_proxy().await;
    proxy.refuse("/park", status, usize::MAX);
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.fail_cause.as_deref()), ("failed", Some("agent")));
    forgets_all(&scene).await;
    assert_eq!(shown(&mut scene, job.job_id).await["result"], "failed");
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_app_without_the_call_is_told_a_failure_and_so_is_the_operator() {
    is_told_a_failure(404).await;
}

#[tokio::test]
async fn an_app_that_refuses_pauses_is_told_a_failure_and_so_is_the_operator() {
    is_told_a_failure(400).await;
}

#[tokio::test]
async fn a_refusal_that_passes_makes_no_failure_of_a_pause() {
    for status in [404, 403, 302] {
        let Some(mut scene) = Scene::or_skip(&parks(3_600)).await else { return };
        let proxy = scene.through_proxy().await;
        proxy.refuse("/park", status, 1);
        let job = scene.add_job().await;
        let coordinator = scene.home.start();
        parked(&scene.app, job.job_id).await;
        forgets_all(&scene).await;
        assert_eq!(shown(&mut scene, job.job_id).await["result"], "parked", "{status}");
        coordinator.terminate().await;
    }
}

#[tokio::test]
async fn a_pause_whose_answer_is_late_is_a_pause_though_the_claim_is_over() {
    let lease = &["--lease-sec", "3"];
    let Some(mut scene) = Scene::with_app(lease, &parks(3_600)).await else { return };
    let proxy = scene.through_proxy().await;
    proxy.slow_down("/park", Duration::from_secs(4));
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("the job is no longer ours").await;
    forgets_all(&scene).await;
    let shown = shown(&mut scene, job.job_id).await;
    assert_eq!((&shown["result"], &shown["report"]), (&json!("parked"), &json!("acknowledged")));
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_job_that_the_app_parks_no_more_is_a_failure_for_the_operator_too() {
    let Some(mut scene) = Scene::or_skip(&parks(3_600)).await else { return };
    let proxy = scene.through_proxy().await;
    let job = scene.add_job().await;
    park_often(&scene, job.job_id).await;
    proxy.lose("/park", 1);
    let coordinator = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.fail_cause.as_deref()), ("failed", Some("parked")));
    forgets_all(&scene).await;
    let shown = shown(&mut scene, job.job_id).await;
    assert_eq!((&shown["result"], &shown["report"]), (&json!("failed"), &json!("acknowledged")));
    let log = scene.app.ticket_log(&job).await;
    assert!(proxy.has_lost() && log.iter().any(|entry| entry.step == "agent_failed"), "{log:?}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn one_job_that_is_parked_has_not_delivered() {
    let Some(mut scene) = Scene::or_skip(&parks(3_600)).await else { return };
    let job = scene.add_job().await;
    let (code, log) = scene.home.command(&["run", "--once"]).await;
    assert_eq!(code, Some(4), "{log}");
    parked(&scene.app, job.job_id).await;
}

#[tokio::test]
async fn an_app_without_leases_is_told_a_failure_of_the_agent() {
    let Some(mut scene) = Scene::with_app(&["--original"], &parks(3_600)).await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(reason.starts_with("parked: a provider's limit"), "{reason}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_project_over_its_budget_of_the_day_gets_no_jobs_and_others_do() {
    let Some(mut scene) = Scene::or_skip(&parks(3_600)).await else { return };
    scene.app.set_day_budget(scene.project, 160).await;
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    parked(&scene.app, job.job_id).await;
    scene.app.set_script("true").await;
    let held = scene.add_job().await;
    let project = scene.app.add_project("http://forge.example/acme/other").await;
    let other = scene.app.add_job(project).await;
    assert_eq!(scene.app.ended(other.job_id).await.status, "completed");
    assert_eq!(scene.app.job(held.job_id).await.status, "pending");
    scene.app.set_day_budget(scene.project, 1_000).await;
    assert_eq!(scene.app.ended(held.job_id).await.status, "completed");
    coordinator.terminate().await;
}
