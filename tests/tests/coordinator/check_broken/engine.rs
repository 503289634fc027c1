//! Set-ups that are broken in the engine, the image, or what a container is given.

use integration_tests::harness::{AppProxy, NEAR_VERSION_IMAGE, OTHER_VERSION_IMAGE};

use crate::check_scene::{CheckScene, assert_only, failed};

/// The user without rights.
const NOBODY_ID: u32 = 65_534;

#[tokio::test]
async fn an_engine_that_is_not_there() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    scene.assert_broken("engine", "systemctl start docker").await;
}

#[tokio::test]
async fn an_engine_whose_socket_is_closed_to_the_coordinator() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    if !scene.home.give_to(NOBODY_ID) {
        return;
    }
    scene.assert_broken("engine", "group docker").await;
}

#[tokio::test]
async fn an_image_that_is_not_there() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("AGENT_IMAGE", "terarchitect-no-such-image").set("AGENT_PULL", "never");
    scene.assert_broken("image", "terarchitect-no-such-image").await;
}

#[tokio::test]
async fn an_image_with_the_agent_of_another_version() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("AGENT_IMAGE", OTHER_VERSION_IMAGE);
    scene.assert_broken("agent-runner in image", OTHER_VERSION_IMAGE).await;
}

#[tokio::test]
async fn an_image_one_patch_behind_is_looked_into_all_the_same() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("AGENT_IMAGE", NEAR_VERSION_IMAGE);
    scene.assert_noted("agent-runner in image", NEAR_VERSION_IMAGE).await;
    let proxy = AppProxy::on_localhost(&scene.app.url()).await;
    scene.home.set("TERARCHITECT_API_URL", &proxy.url());
    let (code, findings) = scene.check().await;
    assert_eq!((code, failed(&findings)), (Some(1), vec!["app from containers"]));
}

#[tokio::test]
async fn an_image_without_the_agent() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("AGENT_IMAGE", "debian:bookworm-slim");
    scene.assert_broken("container, none", "Dockerfile.agent").await;
}

#[tokio::test]
async fn an_image_whose_coding_clis_cannot_work() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let (code, findings) = scene.check_with(&[]).await;
    assert_eq!(code, Some(1));
    assert_only(&findings, "failed", "coding CLIs", "doctor");
}

#[tokio::test]
async fn the_minutes_of_the_coding_clis_are_not_spent_on_what_failed_already() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("TERARCHITECT_WORKER_API_KEY", "of-last-year");
    let (code, findings) = scene.check_with(&[]).await;
    assert_eq!(code, Some(1));
    assert_only(&findings, "failed", "app", "TERARCHITECT_WORKER_API_KEY");
    let clis = findings.iter().find(|finding| finding.what == "coding CLIs").unwrap();
    assert!(clis.found.starts_with("not looked at"), "{clis:?}");
}

#[tokio::test]
async fn a_network_that_is_not_there() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("DOCKER_NETWORK", "terarchitect-no-such-network");
    let cure = "docker network create terarchitect-no-such-network";
    scene.assert_broken("container, none", cure).await;
}

#[tokio::test]
async fn a_cache_volume_that_cannot_be_mounted() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let volume = scene.engine.make_useless_volume().await;
    scene.home.set("AGENT_CACHE_VOLUME", &volume).set("AGENT_CACHE_SCOPE", "shared");
    scene.assert_broken("container, none", "AGENT_CACHE_VOLUME").await;
    scene.engine.remove_volume(&volume).await;
}
