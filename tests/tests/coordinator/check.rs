//! What an engine cannot give is found before a job is claimed.

use integration_tests::harness::{Absence, EngineProxy, Moment, eventually};
use serde_json::Value;

use crate::scene::Scene;

/// A runtime that no engine has.
const NO_RUNTIME: (&str, &str) = ("AGENT_RUNTIME", "no-such-runtime");

/// What a check of the set-up of these tests cannot like: it has no forge.
const NO_FORGE: [&str; 1] = ["forge token"];

fn failed(report: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(report).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let failed = findings.iter().filter(|finding| finding["state"] == "failed");
    failed.map(|finding| finding["what"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_check_finds_no_more_than_there_is_and_leaves_nothing() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let (code, printed) = scene.home.command(&["check", "--quick"]).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("ok      container, none"), "{printed}");
    assert_eq!(printed.matches("FAILED").count(), NO_FORGE.len(), "{printed}");
    assert_eq!(scene.containers().await, 0);

    // A coordinator that runs checks its own settings.
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("ready").await;
    let (code, printed) = scene.home.command(&["check", "--quick", "--json"]).await;
    assert_eq!(code, Some(1), "{printed}");
    assert_eq!(failed(&printed), NO_FORGE);
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_check_of_an_engine_that_is_away_fails_with_the_cure() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = EngineProxy::start_down();
    scene.home.set("DOCKER_HOST", &proxy.host());
    let (code, printed) = scene.home.command(&["check"]).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("FAILED  engine"), "{printed}");
    assert!(printed.contains("cure: start it"), "{printed}");
}

#[tokio::test]
async fn a_check_with_a_wrong_configuration_is_told_apart() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.set("AGENT_DOCKER_MODE", "privileged");
    let (code, printed) = scene.home.command(&["check"]).await;
    assert_eq!(code, Some(2), "{printed}");
}

#[tokio::test]
async fn a_runtime_that_the_engine_does_not_have_is_found_before_a_job_is_claimed() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let (name, value) = NO_RUNTIME;
    scene.home.set(name, value);
    let (code, printed) = scene.home.command(&["check"]).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("FAILED  AGENT_RUNTIME"), "{printed}");
    assert!(printed.contains("daemon.json"), "{printed}");

    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("this engine does not give what").await;
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");
    coordinator.terminate().await;
    assert!(scene.home.host_runs().is_empty());
    assert_eq!(scene.containers().await, 0);

    // The same engine gives it without that runtime.
    scene.home.unset(name);
    let coordinator = scene.home.start();
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_mode_that_was_proven_once_is_not_tried_for_each_claim() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = EngineProxy::start();
    scene.home.set("DOCKER_HOST", &proxy.host()).set("AGENT_DOCKER_MODE", "dind-caps");
    scene.app.add_jobs(scene.project, 3).await;
    let coordinator = scene.home.start();
    scene.app.reached("completed", 3).await;
    coordinator.terminate().await;
    assert_eq!(proxy.count("POST", "/containers/create"), 1 + 3);
}

#[tokio::test]
async fn a_mode_is_proven_anew_by_an_engine_that_was_away() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = EngineProxy::start();
    scene.home.set("DOCKER_HOST", &proxy.host()).set("AGENT_DOCKER_MODE", "dind-caps");
    let mut coordinator = scene.home.start();
    for proofs in 1..=2 {
        eventually("the proof", async || (proxy.count("POST", "/start") == proofs).then_some(()))
            .await;
        eventually("its end", async || (scene.containers().await == 0).then_some(())).await;
        proxy.down(Absence::NoSocket);
        coordinator.wait_for_log("does not answer").await;
        proxy.up();
    }
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_container_that_is_only_tried_outlives_neither_a_stop_nor_a_kill() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = EngineProxy::start();
    scene.home.set("DOCKER_HOST", &proxy.host()).set("AGENT_DOCKER_MODE", "dind-caps");
    proxy.down_at(Moment::Never, "POST", "/start");
    let coordinator = scene.home.start();
    proxy.trap_sprung().await;
    assert_eq!(scene.containers().await, 1);
    coordinator.terminate().await;
    assert_eq!(scene.containers().await, 0);

    proxy.down_at(Moment::Never, "POST", "/start");
    let coordinator = scene.home.start();
    proxy.trap_sprung().await;
    coordinator.kill().await;
    assert_eq!(scene.containers().await, 1);
    scene.home.set("AGENT_DOCKER_MODE", "none");
    let coordinator = scene.home.start();
    eventually("nothing left", async || (scene.containers().await == 0).then_some(())).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn no_job_is_claimed_whose_memory_is_not_there() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.set("AGENT_MEMORY", "900g");
    let (code, printed) = scene.home.command(&["check"]).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("FAILED  room, AGENT_MEMORY"), "{printed}");

    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("AGENT_MEMORY lets a job take 921600 MiB").await;
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");
    coordinator.terminate().await;
}
