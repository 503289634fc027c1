//! What `coordinator check` says of an image that is not there: whether jobs could have it all the same.

use std::fs;

use bollard::query_parameters::{RemoveImageOptions, TagImageOptionsBuilder};
use integration_tests::harness::{CHECK_IMAGE, Registry};

use crate::check_scene::CheckScene;

/// A registry of this host at which nobody listens.
const NOWHERE: &str = "127.0.0.1:1/team/agent";

#[tokio::test]
async fn an_image_that_is_not_there_and_cannot_be_pulled() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let build = format!("coordinator image build --tag {NOWHERE}");
    scene.home.set("AGENT_IMAGE", NOWHERE);
    for pull in ["if-missing", "always"] {
        scene.home.set("AGENT_PULL", pull);
        scene.assert_broken("image", &build).await;
    }
}

#[tokio::test]
async fn an_image_that_is_there_and_cannot_be_pulled_anew() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let image = format!("{NOWHERE}:there");
    let name = TagImageOptionsBuilder::default().repo(NOWHERE).tag("there").build();
    scene.engine.docker().tag_image(CHECK_IMAGE, Some(name)).await.unwrap();
    scene.home.set("AGENT_IMAGE", &image);
    scene.assert_healthy().await;
    scene.home.set("AGENT_PULL", "always");
    scene.assert_broken("image", "AGENT_PULL=if-missing").await;
    let none = None::<RemoveImageOptions>;
    scene.engine.docker().remove_image(&image, none, None).await.unwrap();
}

#[tokio::test]
async fn an_image_that_its_registry_has_is_not_pulled_for_a_check() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let registry = Registry::start(&scene.engine).await;
    let image = registry.push("team/agent").await;
    scene.home.set("AGENT_IMAGE", &image);
    // Without a login the registry tells nothing.
    scene.assert_broken("image", "coordinator image build").await;
    let logins = scene.folder().join("docker-config");
    fs::create_dir_all(&logins).unwrap();
    fs::write(logins.join("config.json"), registry.login()).unwrap();
    scene.home.set("DOCKER_CONFIG", logins.to_str().unwrap());
    scene.assert_noted("image", "docker pull").await;
    assert!(scene.engine.docker().inspect_image(&image).await.is_err());
}
