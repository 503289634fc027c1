//! Set-ups that are broken in the forge, its tokens or its repositories.

use integration_tests::forge::{Fault, ForgeKind};

use super::NOBODY;
use crate::check_scene::CheckScene;

#[tokio::test]
async fn a_token_that_was_revoked() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("GITHUB_TOKEN", "ghp_of_last_year");
    scene.assert_broken("forge token", "GITHUB_TOKEN").await;
}

#[tokio::test]
async fn a_token_that_may_not_push() {
    for kind in ForgeKind::ALL {
        let Some(mut scene) = CheckScene::of(kind, &[]).await else { return };
        scene.forge.fail(Fault::new("service=git-receive-pack", 403));
        scene.assert_broken("push, acme/web", "write").await;
    }
}

#[tokio::test]
async fn a_token_whose_scopes_only_read() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.forge.fail(Fault::new("/api/v3/user", 200).header("x-oauth-scopes", "read:user, gist"));
    scene.assert_broken("forge token", "scope repo").await;
}

#[tokio::test]
async fn a_token_of_gitlab_that_opens_no_merge_request() {
    let Some(mut scene) = CheckScene::of(ForgeKind::GitLab, &[]).await else { return };
    let mut own = Fault::new("/personal_access_tokens/self", 200);
    own.body = Some(serde_json::json!({ "scopes": ["write_repository"] }));
    scene.forge.fail(own);
    scene.forge.fail(Fault::new("/api/v4/user", 403));
    scene.assert_broken("forge token", "scope api").await;
}

#[tokio::test]
async fn a_token_that_the_forge_refuses_for_another_reason() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.forge.fail(Fault::new("/api/v3/user", 403));
    scene.forge.fail(Fault::new("/api/graphql", 403));
    scene.assert_broken("forge token", "limit of requests").await;
}

#[tokio::test]
async fn a_token_of_actions_starts_no_workflow() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.forge.fail(Fault::new("/api/v3/user", 403));
    let mut graphql = Fault::new("/api/graphql", 200);
    graphql.body =
        Some(serde_json::json!({ "data": { "viewer": { "login": "github-actions[bot]" } } }));
    scene.forge.fail(graphql);
    scene.assert_noted("CI", "GitHub App").await;
}

#[tokio::test]
async fn no_token_at_all_until_the_app_has_one() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.unset("GITHUB_TOKEN");
    scene.assert_broken("forge token", "github_agent_token").await;
    scene.app.set("github_agent_token", "ghp_of_the_app").await;
    scene.assert_healthy().await;
}

#[tokio::test]
async fn a_repository_that_is_not_there() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let url = scene.forge.url().to_string().replace("0.0.0.0", "127.0.0.1");
    let project = scene.app.add_project(&format!("{url}acme/gone")).await;
    scene.home.set("PROJECT_IDS", &project.to_string());
    scene.assert_broken("push, acme/gone", "repository URL").await;
}

#[tokio::test]
async fn a_forge_that_is_elsewhere() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("FORGE_API_URL", &format!("{NOBODY}/api/v3"));
    scene.assert_broken("forge token", "FORGE_API_URL").await;
}
