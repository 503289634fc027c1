//! Whose job it is: claim ids, leases, and an app that knows neither.

use integration_tests::harness::{App, AppProxy, Home, Starts, eventually};

use crate::scene::Scene;

/// Until a test has the container end.
const WORKING: &str = "while :; do echo x; sleep 0.1; done";

async fn with_leases(script: &str) -> Option<Scene> {
    let mut scene = Scene::or_skip(script).await?;
    scene.app = App::start_with(&["--lease-sec", "3"]).await;
    scene.project = scene.app.add_project("http://forge.example/acme/demo").await;
    scene.app.set_script(script).await;
    scene.home = Home::new(&scene.app.url());
    Some(scene)
}

#[tokio::test]
async fn an_answer_that_was_lost_brings_the_same_job_again() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    proxy.lose("/jobs/start", 1);
    scene.home = Home::new(&proxy.url());
    let jobs = scene.app.add_jobs(scene.project, 2).await;
    let coordinator = scene.home.start();
    for job in &jobs {
        let ended = scene.app.ended(job.job_id).await;
        assert_eq!((ended.status.as_str(), ended.attempt), ("completed", 1));
    }
    assert!(proxy.has_lost());
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_answer_that_was_lost_with_its_coordinator_brings_the_job_to_the_next_one() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    proxy.lose("/jobs/start", 1_000);
    scene.home = Home::new(&proxy.url());
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.app.claimed(job.job_id).await;
    first.kill().await;
    proxy.lose("/jobs/start", 0);
    let second = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.attempt), ("completed", 1));
    second.terminate().await;
}

#[tokio::test]
async fn the_original_app_loses_exactly_the_job_whose_answer_was_lost() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.app = App::start_original().await;
    scene.project = scene.app.add_project("http://forge.example/acme/demo").await;
    scene.app.set_script("exit 0").await;
    let proxy = AppProxy::start(&scene.app.url()).await;
    proxy.lose("/jobs/start", 1);
    scene.home = Home::new(&proxy.url());
    let jobs = scene.app.add_jobs(scene.project, 3).await;
    let coordinator = scene.home.start();
    scene.app.reached("completed", 2).await;
    assert_eq!(scene.app.job(jobs[0].job_id).await.status, "running");
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_job_that_takes_longer_than_its_lease_stays_with_its_coordinator() {
    let script = "i=0; while [ $i -lt 80 ]; do echo x; sleep 0.1; i=$((i+1)); done";
    let Some(mut scene) = with_leases(script).await else { return };
    let mut other = Home::new(&scene.app.url());
    let starts = Starts::watch(&scene.engine);
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.app.claimed(job.job_id).await;
    let second = other.start();
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.attempt), ("completed", 1));
    assert_eq!(starts.count(&scene.home.id().unwrap()), 1);
    assert_eq!(starts.count(&other.id().unwrap()), 0);
    first.terminate().await;
    second.terminate().await;
}

#[tokio::test]
async fn a_coordinator_that_comes_back_late_ends_its_agent_and_reports_nothing() {
    let Some(mut scene) = with_leases(WORKING).await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    scene.home = Home::new(&proxy.url());
    let mut other = Home::new(&scene.app.url());
    let job = scene.add_job().await;
    let mut first = scene.home.start();
    first.wait_for_log("agent started").await;
    first.kill().await;
    let mut second = other.start();
    second.wait_for_log("agent started").await;
    assert_eq!(scene.app.job(job.job_id).await.attempt, 2);

    let mut late = scene.home.start();
    late.wait_for_log("the job is no longer ours").await;
    eventually("its record to be forgotten", async || {
        scene.home.records().is_empty().then_some(())
    })
    .await;
    assert_eq!(scene.containers().await, 0);
    assert!(proxy.exchanges("/fail").is_empty() && proxy.exchanges("/complete").is_empty());
    // The other's container has the same name, and goes on.
    assert!(scene.engine.runs(job.job_id).await);
    assert_eq!(scene.app.job(job.job_id).await.status, "running");
    late.terminate().await;
    second.terminate().await;
}

#[tokio::test]
async fn an_app_that_was_away_for_longer_than_the_lease_gets_the_outcome_of_the_same_run() {
    let Some(mut scene) = with_leases("pause").await else { return };
    let starts = Starts::watch(&scene.engine);
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    scene.app.stop().await;
    scene.engine.release(job.job_id).await;
    eventually("tries for longer than the lease", async || {
        (coordinator.log().matches("outcome not delivered yet").count() > 2).then_some(())
    })
    .await;
    scene.app.restart().await;
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!((ended.status.as_str(), ended.attempt), ("completed", 1));
    assert_eq!(starts.count(&scene.home.id().unwrap()), 1);
    coordinator.terminate().await;
}
