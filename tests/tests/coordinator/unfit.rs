//! Jobs that come unasked, of a project whose own settings or image are not to be had: they cost no
//! queue, never run without isolation, and are on record before anything is asked about them.

use std::fs;
use std::time::Duration;

use integration_tests::harness::{Coordinator, EngineProxy, Moment, eventually};

use crate::scene::Scene;

/// So many rounds without a claim are no accident.
const ROUNDS: usize = 5;

/// Starts a coordinator that has settings of its own for the scene's project.
fn start_with(scene: &mut Scene, settings: &str) -> Coordinator {
    let file = write_settings(scene, settings);
    scene.home.start_with(&["--config", &file])
}

/// The file of such settings.
fn write_settings(scene: &Scene, settings: &str) -> String {
    let file = scene.home.dir().join("coordinator.toml");
    let text = format!("[project.\"{}\"]\n{settings}\n", scene.project);
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn one_job_of_a_project_without_its_image_fails_and_its_queue_is_left_alone() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let (image, proxy) = (scene.engine.image(), EngineProxy::start());
    scene.home.set("DOCKER_HOST", &proxy.host());
    scene.app.add_jobs(scene.project, 4).await;
    let mut coordinator = start_with(&mut scene, &format!("image = \"{}\"", image.name()));
    scene.app.reached("failed", 1).await;
    let log = coordinator.wait_for_log("nothing is claimed").await;
    assert!(log.contains(&scene.project.to_string()) && log.contains(image.name()), "{log}");
    let looked = proxy.count("GET", image.name());
    eventually("rounds without the image", async || {
        (proxy.count("GET", image.name()) >= looked + ROUNDS).then_some(())
    })
    .await;
    assert_eq!(scene.app.counts().await.get("pending"), Some(&3));

    image.make().await;
    scene.app.reached("completed", 3).await;
    assert_eq!(scene.app.counts().await.get("failed"), Some(&1));
    assert!(scene.home.host_runs().is_empty());
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_image_that_is_there_and_not_renewed_fails_no_job() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let image = scene.engine.image();
    image.make().await;
    let settings = format!("image = \"{}\"\npull = \"always\"", image.name());
    scene.app.add_jobs(scene.project, 2).await;
    let coordinator = start_with(&mut scene, &settings);
    scene.app.reached("completed", 2).await;
    let log = coordinator.terminate().await;
    assert!(log.contains("could not be pulled anew"), "{log}");
}

#[tokio::test]
async fn what_the_engine_refuses_to_give_a_project_does_not_go_to_the_host() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let job = scene.add_job().await;
    let coordinator = start_with(&mut scene, "cpus = 4000");
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "failed");
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(reason.contains("AGENT_CPUS"), "{reason}");
    assert!(scene.home.host_runs().is_empty());
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_job_that_is_started_again_without_its_runtime_does_not_go_to_the_host() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let proxy = EngineProxy::start();
    proxy.down_at(Moment::Never, "POST", "/containers/create");
    scene.home.set("DOCKER_HOST", &proxy.host());
    let job = scene.add_job().await;
    let first = scene.home.start();
    proxy.trap_sprung().await;
    first.kill().await;

    scene.home.set("AGENT_RUNTIME", "no-such-runtime");
    let second = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "failed");
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(reason.contains("AGENT_RUNTIME"), "{reason}");
    assert!(scene.home.host_runs().is_empty());
    second.terminate().await;
}

#[tokio::test]
async fn a_job_is_on_record_and_its_lease_kept_while_its_image_is_looked_for() {
    let Some(mut scene) = Scene::with_app(&["--lease-sec", "3"], "exit 0").await else { return };
    let (image, engine) = (scene.engine.image(), EngineProxy::start());
    let app = scene.through_proxy().await;
    image.make().await;
    scene.home.set("AGENT_IMAGE", image.name()).set("DOCKER_HOST", &engine.host());
    // Long enough for the engine to be stuck when the coordinator hears of its job.
    app.slow_down("/jobs/start", Duration::from_secs(1));
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.app.claimed(job.job_id).await;
    engine.down_at(Moment::Never, "GET", "/images/");
    engine.trap_sprung().await;
    eventually("renewals of its lease", async || {
        (app.exchanges("/heartbeat").len() >= ROUNDS).then_some(())
    })
    .await;
    assert_eq!(scene.home.records().len(), 1);
    assert_eq!(scene.app.job(job.job_id).await.attempt, 1);
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_project_without_its_image_is_no_reason_to_wait_where_the_others_were_asked_for() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let image = scene.engine.image();
    let other = scene.app.add_project("http://forge.example/acme/other").await;
    let job = scene.add_job().await;
    let file = write_settings(&scene, &format!("image = \"{}\"", image.name()));
    scene.home.set("PROJECT_IDS", &format!("{},{other}", scene.project));
    let mut once = scene.home.start_with(&["--config", &file, "--once"]);
    assert_eq!(once.wait().await.code(), Some(0), "{}", once.log());
    assert!(once.log().contains(image.name()), "{}", once.log());
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");
}
