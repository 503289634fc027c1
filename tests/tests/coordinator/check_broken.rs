//! Set-ups that are broken on purpose, each in one way: `coordinator check` names that one with its cure,
//! and nothing else. Here, those that are not broken.

mod app;
mod engine;
mod forge;
mod host;
mod network;

use integration_tests::forge::ForgeKind;

use crate::check_scene::CheckScene;

/// A port of this host at which nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn a_healthy_set_up_has_nothing_to_be_said_about() {
    for kind in ForgeKind::ALL {
        let Some(mut scene) = CheckScene::of(kind, &[]).await else { return };
        scene.app.add_job(scene.project).await;
        scene.assert_healthy().await;
        assert_eq!(scene.app.counts().await["pending"], 1, "the check claims nothing");
        scene.forge.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_container_on_a_network_of_its_own_is_as_healthy() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.unset("DOCKER_NETWORK");
    scene.assert_healthy().await;
}

#[tokio::test]
async fn the_original_s_app_is_as_healthy() {
    let Some(mut scene) = CheckScene::of(ForgeKind::GitHub, &["--original"]).await else { return };
    scene.assert_healthy().await;
}

#[tokio::test]
async fn what_a_running_coordinator_finds_is_printed_in_order() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("ready").await;
    let (code, printed) = scene.home.command(&["check", "--quick"]).await;
    assert_eq!(code, Some(0), "{printed}");
    let places: Vec<_> = ["control socket", "state directory", "container, none", "clock"]
        .map(|what| printed.find(&format!("ok      {what}")))
        .into_iter()
        .collect();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{places:?} {printed}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_running_coordinator_checks_its_own_settings() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("ready").await;
    scene.assert_healthy().await;
    scene.home.set("AGENT_IMAGE", "terarchitect-no-such-image").set("AGENT_PULL", "never");
    let (code, findings) = scene.check().await;
    assert_eq!(code, Some(0), "{findings:#?}");
    coordinator.terminate().await;
}
