//! Agents that have to end before they are done: limits, cancel, and what is told about it.

use std::time::{Duration, Instant};

use integration_tests::harness::{App, Home, eventually};

use crate::scene::Scene;

/// Goes on for ever, prints all the time, and does not listen.
const STUBBORN: &str = "trap true TERM; while :; do echo x; sleep 0.05; done";

/// Goes on for ever, prints all the time, and ends when it is asked to.
const OBEDIENT: &str = "trap 'echo saved; exit 7' TERM; while :; do echo x; sleep 0.05; done";

#[tokio::test]
async fn an_agent_that_does_not_listen_is_killed_at_its_deadline_and_removed() {
    let Some(mut scene) = Scene::or_skip(STUBBORN).await else { return };
    scene.home.set("JOB_TIMEOUT", "1s").set("STOP_GRACE", "0.5");
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "failed");
    assert!(ended.fail_reason.unwrap_or_default().contains("JOB_TIMEOUT"));
    eventually("its removal", async || (scene.containers().await == 0).then_some(())).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_deadline_counts_from_the_start_of_the_agent_and_not_from_its_adoption() {
    let Some(mut scene) = Scene::or_skip(OBEDIENT).await else { return };
    scene.home.set("JOB_TIMEOUT", "8s");
    let job = scene.add_job().await;
    let mut first = scene.home.start();
    first.wait_for_log("agent started").await;
    let begun = Instant::now();
    eventually("most of its time", async || {
        (begun.elapsed() > Duration::from_secs(7)).then_some(())
    })
    .await;
    first.kill().await;
    let second = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    assert!(ended.fail_reason.unwrap_or_default().contains("JOB_TIMEOUT"));
    // From the adoption on it would have been 15 s.
    assert!(begun.elapsed() < Duration::from_millis(14_500), "{:?}", begun.elapsed());
    second.terminate().await;
}

#[tokio::test]
async fn an_agent_that_falls_silent_is_ended_and_one_that_prints_is_not() {
    let script = "i=0; while [ $i -lt 30 ]; do echo x; sleep 0.1; i=$((i+1)); done; sleep 600";
    let Some(mut scene) = Scene::or_skip(script).await else { return };
    scene.home.set("STALL_TIMEOUT", "2s").set("STOP_GRACE", "0.2");
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("agent started").await;
    let begun = Instant::now();
    let ended = scene.app.ended(job.job_id).await;
    assert!(ended.fail_reason.unwrap_or_default().contains("STALL_TIMEOUT"));
    assert!(begun.elapsed() > Duration::from_secs(4), "{:?}", begun.elapsed());
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_cancelled_agent_is_asked_first_and_the_app_knows_that_it_was_cancelled() {
    let Some(mut scene) = Scene::or_skip(OBEDIENT).await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    // From then on it listens.
    eventually("its first line", async || {
        scene.home.job_log(job.job_id).contains("x\n").then_some(())
    })
    .await;
    scene.app.cancel(&job).await;
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "cancelled", "{:?}", ended.fail_reason);
    assert!(scene.home.job_log(job.job_id).ends_with("saved\n"));
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_flag_that_the_original_app_never_cleared_ends_no_later_job_of_the_ticket() {
    let Some(mut scene) = Scene::or_skip(OBEDIENT).await else { return };
    scene.app = App::start_original().await;
    scene.project = scene.app.add_project("http://forge.example/acme/demo").await;
    scene.home = Home::new(&scene.app.url());
    scene.app.set_script(OBEDIENT).await;
    let first = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("agent started").await;
    scene.app.cancel(&first).await;
    let ended = scene.app.ended(first.job_id).await;
    assert!(ended.fail_reason.unwrap_or_default().contains("cancelled"));

    // Longer than two looks at the flag.
    scene.app.set_script("i=0; while [ $i -lt 90 ]; do echo x; sleep 0.1; i=$((i+1)); done").await;
    let second = scene.app.add_job_again(&first).await;
    assert_ne!(second.job_id, first.job_id);
    assert_eq!(scene.app.ended(second.job_id).await.status, "completed");
    assert!(coordinator.log().contains("cancel flag was set before this job"));
    coordinator.terminate().await;
}

#[tokio::test]
async fn what_ended_an_agent_is_told_in_words() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.set("HOST_FALLBACK", "never");
    let coordinator = scene.home.start();
    for (script, words) in [
        ("exit 137", "signal 9 ended the agent"),
        ("exit 3", "clone failed"),
        ("exit 99", "exit code 99 is none of its own"),
        ("echo write: No space left on device; exit 4", "no space left on a disk"),
        ("echo sh: 1: Cannot fork; exit 4", "no process could be started any more"),
    ] {
        scene.app.set_script(script).await;
        let job = scene.add_job().await;
        let ended = scene.app.ended(job.job_id).await;
        let reason = ended.fail_reason.unwrap_or_default();
        assert!(reason.contains(words), "{script}: {reason}");
        let log = scene.app.ticket_log(&job).await;
        assert!(log.iter().any(|entry| entry.summary.contains(words)), "{script}: {log:?}");
    }
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_container_that_vanished_while_the_coordinator_was_away_is_told_as_such() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    first.kill().await;
    scene.engine.remove(job.job_id).await;
    let second = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    assert!(ended.fail_reason.unwrap_or_default().contains("while the coordinator was away"));
    second.terminate().await;
}
