//! Stops, pauses and drains, as an operator asks for them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use integration_tests::harness::eventually;
use nix::sys::signal::Signal;

use crate::scene::Scene;

const OBEDIENT: &str = "trap 'exit 7' TERM; while :; do echo x; sleep 0.05; done";

#[tokio::test]
async fn a_stop_with_a_claim_under_way_takes_no_two_seconds() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = integration_tests::harness::AppProxy::start(&scene.app.url()).await;
    proxy.slow_down("/jobs/start", Duration::from_secs(30));
    scene.home = integration_tests::harness::Home::new(&proxy.url());
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.app.claimed(job.job_id).await;
    let begun = Instant::now();
    coordinator.terminate().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());

    proxy.slow_down("/jobs/start", Duration::ZERO);
    let next = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.attempt), ("completed", 1));
    next.terminate().await;
}

#[tokio::test]
async fn a_drain_by_signal_waits_and_a_second_one_ends_the_agents() {
    let Some(mut scene) = Scene::or_skip(OBEDIENT).await else { return };
    scene.home.set("ON_STOP", "drain");
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("agent started").await;
    coordinator.signal(Signal::SIGTERM);
    coordinator.wait_for_log("still run").await;
    assert!(scene.engine.runs(job.job_id).await);
    coordinator.signal(Signal::SIGTERM);
    assert!(coordinator.wait().await.success());
    let ended = scene.app.job(job.job_id).await;
    assert_eq!(ended.status, "failed");
    assert!(ended.fail_reason.unwrap_or_default().contains("was stopped"));
    assert_eq!(scene.containers().await, 0);
}

#[tokio::test]
async fn a_drain_that_takes_too_long_leaves_its_agent_to_the_next_start() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.home.set("ON_STOP", "drain").set("DRAIN_TIMEOUT", "1s");
    let job = scene.add_job().await;
    let mut first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    first.signal(Signal::SIGTERM);
    assert!(first.wait().await.success());
    assert!(scene.engine.runs(job.job_id).await);
    let second = scene.home.start();
    scene.engine.release(job.job_id).await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    second.terminate().await;
}

#[tokio::test]
async fn a_stop_that_ends_agents_reports_them_before_it_ends() {
    let Some(mut scene) = Scene::or_skip(OBEDIENT).await else { return };
    scene.home.set("ON_STOP", "stop");
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("agent started").await;
    coordinator.signal(Signal::SIGTERM);
    assert!(coordinator.wait().await.success());
    assert_eq!(scene.app.job(job.job_id).await.status, "failed");
    assert_eq!((scene.containers().await, scene.home.records().len()), (0, 0));
}

#[tokio::test]
async fn a_pause_survives_a_restart_and_a_resume_ends_it() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let mut first = scene.home.start();
    first.wait_for_log("ready").await;
    let socket = scene.home.state_dir().join("control.sock");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(scene.home.command(&["pause"]).await.0, Some(0));
    first.kill().await;

    let mut second = scene.home.start();
    second.wait_for_log("paused by the operator").await;
    let job = scene.add_job().await;
    let (code, status) = scene.home.command(&["status"]).await;
    assert_eq!(code, Some(0), "{status}");
    assert!(status.contains("claims     paused"), "{status}");
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");
    assert_eq!(scene.home.command(&["resume"]).await.0, Some(0));
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    second.terminate().await;
}

#[tokio::test]
async fn a_drain_finishes_what_runs_takes_nothing_new_and_survives_a_crash() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    let waiting = scene.add_job().await;
    assert_eq!(scene.home.command(&["drain", "--no-wait"]).await.0, Some(0));
    first.kill().await;

    let mut second = scene.home.start();
    second.wait_for_log("draining").await;
    scene.engine.release(job.job_id).await;
    assert!(second.wait().await.success());
    assert_eq!(scene.app.job(job.job_id).await.status, "completed");
    assert_eq!(scene.app.job(waiting.job_id).await.status, "pending");
    let (code, text) = scene.home.command(&["status"]).await;
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("--state-dir"), "{text}");
}

#[tokio::test]
async fn a_key_that_was_mended_is_taken_up_by_a_hangup_and_frees_the_outcome() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let key = scene.home.dir().join("key");
    fs::write(&key, integration_tests::harness::KEY).unwrap();
    scene.home.unset("TERARCHITECT_WORKER_API_KEY");
    scene.home.set("TERARCHITECT_WORKER_API_KEY_FILE", key.to_str().unwrap());
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    fs::write(&key, "wrong").unwrap();
    coordinator.signal(Signal::SIGHUP);
    coordinator.wait_for_log("settings taken up").await;
    scene.engine.release(job.job_id).await;
    coordinator.wait_for_log("outcome not delivered").await;
    eventually("an alarm", async || {
        scene.home.command(&["status"]).await.1.contains("ALARM").then_some(())
    })
    .await;
    fs::write(&key, integration_tests::harness::KEY).unwrap();
    coordinator.signal(Signal::SIGHUP);
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    coordinator.terminate().await;
}

#[tokio::test]
async fn nothing_is_claimed_below_the_floor_of_free_disk() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.set("DISK_FLOOR_MIB", "999999999");
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("DISK_FLOOR_MIB").await;
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");
    coordinator.terminate().await;
}
