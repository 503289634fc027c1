//! Set-ups that are broken in the app, its key or its projects.

use api_client::ProjectId;
use integration_tests::harness::AppProxy;

use super::NOBODY;
use crate::check_scene::CheckScene;

#[tokio::test]
async fn an_app_that_is_down() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("TERARCHITECT_API_URL", NOBODY);
    scene.assert_broken("app", "TERARCHITECT_API_URL").await;
}

#[tokio::test]
async fn a_url_under_which_something_else_answers() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let forge = scene.forge.url().to_string().replace("0.0.0.0", "127.0.0.1");
    scene.home.set("TERARCHITECT_API_URL", &forge);
    scene.assert_broken("app", "TERARCHITECT_API_URL").await;
}

#[tokio::test]
async fn a_key_that_the_app_does_not_take() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("TERARCHITECT_WORKER_API_KEY", "of-last-year");
    scene.assert_broken("app", "TERARCHITECT_WORKER_API_KEY").await;
    scene.home.unset("TERARCHITECT_WORKER_API_KEY");
    scene.assert_broken("app", "TERARCHITECT_WORKER_API_KEY").await;
}

#[tokio::test]
async fn an_app_on_localhost_alone_which_no_container_reaches() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let proxy = AppProxy::on_localhost(&scene.app.url()).await;
    scene.home.set("TERARCHITECT_API_URL", &proxy.url());
    scene.assert_broken("app from containers", "not on localhost alone").await;
}

#[tokio::test]
async fn a_project_that_the_app_does_not_have() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let unknown = ProjectId::random();
    scene.home.set("PROJECT_IDS", &format!("{},{unknown}", scene.project));
    scene.assert_broken(&format!("project {}", unknown.short()), "PROJECT_IDS").await;
}
