//! Nothing is claimed while it could not be run.

use integration_tests::harness::{
    Absence, AppProxy, EngineProxy, FullDisk, Home, STUB_IMAGE, eventually,
};

use crate::scene::Scene;

/// So many rounds without a claim are no accident.
const ROUNDS: usize = 5;

fn times(log: &str, words: &str) -> usize {
    log.matches(words).count()
}

#[tokio::test]
async fn no_job_of_ten_is_claimed_while_the_engine_is_away_and_all_are_done_once_it_is_back() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = EngineProxy::start();
    proxy.down(Absence::HangUp);
    scene.home.set("DOCKER_HOST", &proxy.host()).set("MAX_CONCURRENT_AGENTS", "2");
    scene.app.add_jobs(scene.project, 10).await;
    let coordinator = scene.home.start();

    eventually("rounds without an engine", async || (proxy.refused() >= ROUNDS).then_some(()))
        .await;
    assert_eq!(scene.app.counts().await.get("pending"), Some(&10));
    assert_eq!(times(&coordinator.log(), "nothing is claimed"), 1, "{}", coordinator.log());

    proxy.up();
    scene.app.reached("completed", 10).await;
    assert!(scene.home.host_runs().is_empty());
    let log = coordinator.terminate().await;
    assert_eq!(times(&log, "nothing is claimed"), 1, "{log}");
    assert_eq!(times(&log, "claiming again"), 1, "{log}");
}

#[tokio::test]
async fn an_engine_that_comes_up_after_the_coordinator_is_used() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = EngineProxy::start_down();
    scene.home.set("DOCKER_HOST", &proxy.host());
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("the Docker Engine does not answer").await;
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");

    proxy.up();
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    coordinator.terminate().await;
}

#[tokio::test]
async fn no_job_is_claimed_while_the_image_is_missing() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let (image, proxy) = (scene.engine.image(), EngineProxy::start());
    scene.home.set("AGENT_IMAGE", image.name()).set("DOCKER_HOST", &proxy.host());
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    eventually("rounds without the image", async || {
        (proxy.count("GET", image.name()) >= ROUNDS).then_some(())
    })
    .await;
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");
    assert_eq!(proxy.count("POST", "/images/create"), 1, "the registry is asked rarely");

    image.make().await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    let log = coordinator.terminate().await;
    assert!(log.contains(image.name()) && log.contains("coordinator image build"), "{log}");
}

#[tokio::test]
async fn no_job_is_claimed_while_the_state_directory_cannot_be_written() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = EngineProxy::start();
    let disk = FullDisk::mount(&scene.home.dir().join("disk"));
    let state = scene.home.dir().join("disk/state");
    let records = state.join("jobs");
    scene.home.set("COORDINATOR_STATE_DIR", &state.display().to_string());
    scene.home.set("DOCKER_HOST", &proxy.host());
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("ready").await;
    disk.fill(&records);
    let job = scene.add_job().await;

    coordinator.wait_for_log("the state directory cannot be written").await;
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");
    assert_eq!(proxy.count("POST", "/containers/create"), 0);

    disk.free(&records);
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_changed_agent_image_takes_effect_for_a_project_that_has_delivered() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let (image, proxy) = (scene.engine.image(), EngineProxy::start());
    image.make().await;
    scene.home.set("DOCKER_HOST", &proxy.host());
    for name in [STUB_IMAGE, image.name()] {
        scene.home.set("AGENT_IMAGE", name);
        let job = scene.add_job().await;
        let coordinator = scene.home.start();
        assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
        coordinator.terminate().await;
        let requests = proxy.requests();
        let created = requests.iter().rev().find(|r| r.path.contains("/containers/create"));
        let spec: serde_json::Value = serde_json::from_slice(&created.unwrap().body).unwrap();
        assert_eq!(spec["Image"], name);
    }
}

#[tokio::test]
async fn an_app_that_is_away_is_asked_again_until_it_is_back() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let job = scene.add_job().await;
    scene.app.stop().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("no answer to a claim").await;

    scene.app.restart().await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_app_that_answers_with_errors_is_asked_again() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = AppProxy::start(&scene.app.url()).await;
    for status in [500, 401, 502] {
        proxy.refuse("/jobs/start", status, 1);
    }
    scene.home = Home::new(&proxy.url());
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    let log = coordinator.terminate().await;
    assert_eq!(times(&log, "no answer to a claim"), 3, "{log}");
}
