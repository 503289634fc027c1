//! Where the image of an agent comes from: a real registry that asks for a login.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use integration_tests::harness::{EngineProxy, KEY, PULLER, Registry, eventually};
use serde_json::Value;

use crate::scene::Scene;

/// So many rounds without a claim are no accident.
const ROUNDS: usize = 3;

/// Gives the coordinator this configuration of Docker.
fn docker_config(scene: &mut Scene, config: &str) {
    let folder = scene.home.dir().join("docker-config");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), config).unwrap();
    scene.home.set("DOCKER_CONFIG", folder.to_str().unwrap());
}

/// The digest that `status` tells of the one job that is held.
async fn digest_in_status(scene: &mut Scene) -> String {
    let (_, status) = scene.home.command(&["status", "--json"]).await;
    let status: Value = serde_json::from_str(&status).unwrap();
    status["jobs"][0]["digest"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_private_image_is_pulled_by_dockers_own_login_and_its_digest_is_told() {
    let Some(mut scene) = Scene::or_skip("pause; exit 5").await else { return };
    let registry = Registry::start(&scene.engine).await;
    let image = registry.push("team/agent").await;
    docker_config(&mut scene, &registry.login());
    scene.home.set("AGENT_IMAGE", &image);
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;

    let digest = digest_in_status(&mut scene).await;
    assert!(digest.starts_with(&format!("{image}@sha256:")), "{digest}");
    let record = fs::read_to_string(&scene.home.records()[0]).unwrap();
    assert!(record.contains(&digest), "{record}");
    scene.engine.release(job.job_id).await;
    scene.app.ended(job.job_id).await;
    let ticket = scene.app.ticket_log(&job).await;
    assert!(ticket.iter().any(|entry| entry.summary.contains(&digest)), "{ticket:?}");
    let log = coordinator.terminate().await;
    let outcome = log.lines().find(|line| line.contains("job failed")).unwrap();
    assert!(outcome.contains(&digest), "{outcome}");
    assert!(!log.contains(PULLER.1), "{log}");
}

#[tokio::test]
async fn a_credential_helper_is_asked_and_sees_no_secret_of_the_coordinator() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let registry = Registry::start(&scene.engine).await;
    let image = registry.push("team/agent").await;
    let (host, dir) = (registry.host(), scene.home.dir().to_owned());
    let (helper, seen) = (dir.join("docker-credential-testing"), dir.join("seen"));
    let script = format!(
        "#!/bin/sh\nenv >{seen}\necho \"$1 $(cat)\" >>{seen}\n\
         printf '{{\"Username\":\"{}\",\"Secret\":\"{}\"}}'\n",
        PULLER.0,
        PULLER.1,
        seen = seen.display()
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    docker_config(&mut scene, &format!(r#"{{"credHelpers": {{"{host}": "testing"}}}}"#));
    let path = format!("{}:/usr/bin:/bin", dir.display());
    scene.home.set("PATH", &path).set("AGENT_IMAGE", &image);
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.ends_with(&format!("get {host}\n")), "{seen}");
    assert!(!seen.contains(KEY), "{seen}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn without_a_login_a_private_image_holds_the_claims_and_the_reason_is_told() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let registry = Registry::start(&scene.engine).await;
    let image = registry.push("team/agent").await;
    docker_config(&mut scene, "{ this is no JSON");
    scene.home.set("AGENT_IMAGE", &image);
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    let log = coordinator.wait_for_log("nothing is claimed").await;
    assert!(log.contains("no basic auth credentials"), "{log}");
    assert!(log.contains("config.json is no configuration of Docker"), "{log}");
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");
    coordinator.terminate().await;
}

#[tokio::test]
async fn what_is_never_pulled_must_be_there() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let (image, proxy) = (scene.engine.image(), EngineProxy::start());
    scene.home.set("AGENT_IMAGE", image.name()).set("DOCKER_HOST", &proxy.host());
    scene.home.set("AGENT_PULL", "never");
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("AGENT_PULL=never").await;
    eventually("rounds without the image", async || {
        (proxy.count("GET", image.name()) >= ROUNDS).then_some(())
    })
    .await;
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");
    assert_eq!(proxy.count("POST", "/images/create"), 0);
    image.make().await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    coordinator.terminate().await;
}

#[tokio::test]
async fn what_is_always_pulled_is_the_newest_and_claims_are_held_while_it_cannot_be_had() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let registry = Registry::start(&scene.engine).await;
    docker_config(&mut scene, &registry.login());
    let image = registry.push("team/agent").await;
    scene.home.set("AGENT_IMAGE", &image).set("AGENT_PULL", "always");
    let mut digests = Vec::new();
    for round in 0..2 {
        if round > 0 {
            registry.push("team/agent").await;
        }
        scene.app.set_script("pause").await;
        let job = scene.add_job().await;
        // What one process has pulled within a minute it does not pull again.
        let coordinator = scene.home.start();
        scene.engine.pausing(job.job_id).await;
        digests.push(digest_in_status(&mut scene).await);
        scene.engine.release(job.job_id).await;
        assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
        coordinator.terminate().await;
    }
    assert!(digests[0].contains("@sha256:") && digests[0] != digests[1], "{digests:?}");

    drop(registry);
    scene.engine.docker().tag_image("terarchitect-test-stub", tag(&image)).await.unwrap();
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("could not be pulled anew").await;
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");
    coordinator.terminate().await;
    let gone = scene.engine.docker().remove_image(&image, NO_OPTIONS, None).await;
    gone.unwrap();
}

const NO_OPTIONS: Option<bollard::query_parameters::RemoveImageOptions> = None;

fn tag(image: &str) -> Option<bollard::query_parameters::TagImageOptions> {
    let options = bollard::query_parameters::TagImageOptionsBuilder::default();
    Some(options.repo(image).tag("latest").build())
}

#[tokio::test]
async fn a_download_that_stops_half_way_is_given_up_and_holds_the_claims() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let registry = Registry::start(&scene.engine).await;
    registry.push("team/agent").await;
    let way = registry.slow_way().await;
    let auth = registry.login().replace(&registry.host(), &way.host());
    docker_config(&mut scene, &auth);
    scene.home.set("AGENT_IMAGE", &format!("{}/team/agent", way.host()));
    scene.home.set("AGENT_PULL_PATIENCE", "2s");
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    let log = coordinator.wait_for_log("no progress for 2 s").await;
    assert!(log.contains("nothing is claimed"), "{log}");
    assert_eq!(scene.app.job(job.job_id).await.status, "pending");
    coordinator.terminate().await;
}
