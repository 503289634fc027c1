//! `coordinator run --once`: what its exit code tells.

use integration_tests::harness::{Absence, EngineProxy};

use crate::scene::Scene;

#[tokio::test]
async fn once_exits_0_when_no_job_waits() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let (code, log) = scene.home.run_once().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("no job waits"), "{log}");
}

#[tokio::test]
async fn once_takes_one_job_of_two_and_exits_0_when_it_is_completed() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.app.add_jobs(scene.project, 2).await;
    let (code, log) = scene.home.run_once().await;
    assert_eq!(code, Some(0), "{log}");
    let counts = scene.app.counts().await;
    assert_eq!((counts.get("completed"), counts.get("pending")), (Some(&1), Some(&1)));
    assert_eq!(scene.containers().await, 0);
    assert_eq!(scene.home.records().len(), 0);
}

#[tokio::test]
async fn once_exits_4_when_the_job_failed_and_was_reported_so() {
    let Some(mut scene) = Scene::or_skip("exit 4").await else { return };
    let job = scene.add_job().await;
    let (code, log) = scene.home.run_once().await;
    assert_eq!(code, Some(4), "{log}");
    assert_eq!(scene.app.job(job.job_id).await.status, "failed");
}

#[tokio::test]
async fn a_configuration_that_is_wrong_exits_2_and_names_the_setting() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.unset("TERARCHITECT_API_URL").set("MAX_CONCURRENT_AGENTS", "abc");
    let (code, log) = scene.home.run_once().await;
    assert_eq!(code, Some(2), "{log}");
    for name in ["TERARCHITECT_API_URL", "MAX_CONCURRENT_AGENTS"] {
        assert!(log.contains(name), "{log}");
    }
}

#[tokio::test]
async fn once_takes_no_job_while_the_engine_is_away_and_ends_when_it_is_told_to() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = EngineProxy::start();
    proxy.down(Absence::NoSocket);
    scene.home.set("DOCKER_HOST", &proxy.host());
    let job = scene.add_job().await;
    let mut once = scene.home.start_with(&["--once"]);
    once.wait_for_log("nothing is claimed").await;
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");
    once.terminate().await;
}

#[tokio::test]
async fn a_proxys_404_to_a_claim_is_no_want_of_jobs() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = scene.through_proxy().await;
    proxy.refuse("/jobs/start", 404, 2);
    scene.home.set("PROJECT_IDS", &scene.project.to_string());
    let job = scene.add_job().await;
    let (code, log) = scene.home.run_once().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(scene.app.job(job.job_id).await.status, "completed", "{log}");
    assert!(!log.contains("does not know this project"), "{log}");
}
