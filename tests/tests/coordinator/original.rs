//! With an app that knows no claim ids and no leases, as the original: every job has one outcome,
//! but for a claim whose answer is lost (see `custody`).

use std::time::Duration;

use integration_tests::harness::{EngineProxy, Moment, eventually};

use crate::scene::Scene;

const ORIGINAL: &[&str] = &["--original"];

/// Goes on for ever, prints all the time, and ends when it is asked to.
const OBEDIENT: &str = "trap 'exit 7' TERM; while :; do echo x; sleep 0.05; done";

#[tokio::test]
async fn a_job_is_done_and_reported_without_a_single_word_about_leases() {
    let Some(mut scene) = Scene::with_app(ORIGINAL, "exit 0").await else { return };
    let proxy = scene.through_proxy().await;
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    scene.app.set_script("exit 4").await;
    let job = scene.add_job().await;
    let reason = scene.app.ended(job.job_id).await.fail_reason.unwrap_or_default();
    assert!(reason.contains("exit 4"), "{reason}");
    assert_eq!(proxy.reported(2).await.len(), 2);
    assert!(proxy.exchanges("/heartbeat").is_empty());
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_job_that_was_claimed_and_never_started_is_failed_by_the_next_start() {
    let Some(mut scene) = Scene::with_app(ORIGINAL, "exit 0").await else { return };
    let proxy = scene.through_proxy().await;
    let engine = EngineProxy::start();
    engine.down_at(Moment::Never, "POST", "/start");
    scene.home.set("DOCKER_HOST", &engine.host());
    let job = scene.add_job().await;
    let first = scene.home.start();
    engine.trap_sprung().await;
    first.kill().await;

    let second = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(reason.contains("the coordinator was stopped before the job ended"), "{reason}");
    assert_eq!(proxy.reported(1).await, [format!("{}/fail", job.job_id)]);
    eventually("its container to be removed", async || {
        (scene.containers().await == 0).then_some(())
    })
    .await;
    second.terminate().await;
}

#[tokio::test]
async fn a_running_job_is_adopted_after_a_crash_and_reported_once_the_app_is_back() {
    let Some(mut scene) = Scene::with_app(ORIGINAL, "pause").await else { return };
    let proxy = scene.through_proxy().await;
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    first.kill().await;
    let mut second = scene.home.start();
    second.wait_for_log("job adopted").await;
    // It has asked for what it needs to go on.
    eventually("the job's settings", async || {
        (proxy.exchanges("/worker-context").len() == 1).then_some(())
    })
    .await;
    scene.app.stop().await;
    scene.engine.release(job.job_id).await;
    second.wait_for_log("outcome not delivered yet").await;
    second.kill().await;

    scene.app.restart().await;
    let third = scene.home.start();
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    assert_eq!(proxy.reported(1).await, [format!("{}/complete", job.job_id)]);
    third.terminate().await;
}

#[tokio::test]
async fn an_orderly_stop_waits_for_the_answer_to_a_claim_so_that_no_job_is_lost() {
    let Some(mut scene) = Scene::with_app(ORIGINAL, "exit 0").await else { return };
    let proxy = scene.through_proxy().await;
    proxy.slow_down("/jobs/start", Duration::from_millis(300));
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.app.claimed(job.job_id).await;
    first.terminate().await;

    // Claimed or started: the record tells, and with it the next start has an outcome.
    let second = scene.home.start();
    scene.app.ended(job.job_id).await;
    assert_eq!(proxy.reported(1).await.len(), 1);
    second.terminate().await;
}

#[tokio::test]
async fn a_flag_that_was_set_before_a_job_counts_again_once_it_was_clear() {
    let Some(mut scene) = Scene::with_app(ORIGINAL, OBEDIENT).await else { return };
    let proxy = scene.through_proxy().await;
    let first = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("agent started").await;
    scene.app.cancel(&first).await;
    scene.app.ended(first.job_id).await;
    let second = scene.app.add_job_again(&first).await;
    coordinator.wait_for_log("cancel flag was set before this job").await;

    // The original keeps its flags in memory: they are clear when it has started again.
    scene.app.stop().await;
    scene.app.restart().await;
    eventually("a look at the clear flag", async || {
        let looks = proxy.exchanges("/cancel-requested");
        let last = looks.last().filter(|look| look.status.is_success())?;
        String::from_utf8_lossy(&last.answer).contains("false").then_some(())
    })
    .await;
    assert_eq!(scene.app.job(second.job_id).await.status, "running");
    scene.app.cancel(&second).await;
    let ended = scene.app.ended(second.job_id).await;
    assert!(ended.fail_reason.unwrap_or_default().contains("cancelled"));
    coordinator.terminate().await;
}
