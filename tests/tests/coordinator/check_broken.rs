//! Set-ups that are broken on purpose, each in one way: `coordinator check` names that one with its cure,
//! and nothing else.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use api_client::ProjectId;
use integration_tests::forge::{Fault, ForgeKind};
use integration_tests::harness::{
    AppProxy, CertificateAuthority, FullDisk, InterceptingProxy, Login, NEAR_VERSION_IMAGE,
    OTHER_VERSION_IMAGE, TlsFront,
};

use crate::check_scene::{CheckScene, assert_only, failed};

/// A port of this host at which nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// The user without rights.
const NOBODY_ID: u32 = 65_534;

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

#[tokio::test]
async fn a_state_directory_that_cannot_be_written() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("COORDINATOR_STATE_DIR", "/proc/terarchitect");
    scene.assert_broken("state directory", "COORDINATOR_STATE_DIR").await;
}

#[tokio::test]
async fn a_state_directory_whose_path_is_too_long_for_a_socket() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let long = scene.folder().join("x".repeat(120));
    scene.home.set("COORDINATOR_STATE_DIR", long.to_str().unwrap());
    scene.assert_broken("control socket", "shorter").await;
}

#[tokio::test]
async fn a_state_directory_on_a_disk_that_is_nearly_full() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let disk = FullDisk::mount(&scene.folder().join("small"));
    let state = scene.folder().join("small/state");
    scene.home.set("COORDINATOR_STATE_DIR", state.to_str().unwrap()).set("DISK_FLOOR_MIB", "64");
    scene.assert_broken("disk, state directory", "DISK_FLOOR_MIB").await;
    drop(disk);
}

#[tokio::test]
async fn files_with_secrets_that_everybody_can_read() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.open_env_file(0o644);
    scene.assert_noted("environment file", "chmod o-rwx").await;
    scene.open_env_file(0o640);

    let token = scene.folder().join("token");
    fs::write(&token, crate::check_scene::TOKEN).unwrap();
    fs::set_permissions(&token, Permissions::from_mode(0o644)).unwrap();
    scene.home.unset("GITHUB_TOKEN").set("GITHUB_TOKEN_FILE", token.to_str().unwrap());
    scene.assert_noted("secret file", "chmod o-rwx").await;
    fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(scene.folder(), Permissions::from_mode(0o777)).unwrap();
    scene.assert_noted("secret file", "chmod o-w").await;
    fs::set_permissions(scene.folder(), Permissions::from_mode(0o700)).unwrap();

    let state = scene.home.state_dir();
    fs::set_permissions(&state, Permissions::from_mode(0o755)).unwrap();
    scene.assert_noted("state directory, mode", "chmod o-rwx").await;
}

#[tokio::test]
async fn a_clock_that_is_ten_minutes_off() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let user = Fault::new("/api/v3/user", 200).header("date", date("10 minutes"));
    let mut user = user.header("x-oauth-scopes", "repo");
    user.body = Some(serde_json::json!({ "login": "agents" }));
    scene.forge.fail(user);
    scene.assert_broken("clock", "timedatectl").await;
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

#[tokio::test]
async fn a_proxy_that_does_not_answer() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("HTTP_PROXY", NOBODY);
    scene.assert_broken("HTTP_PROXY", "NO_PROXY").await;
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_hides_nothing_that_is_not_behind_it() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("HTTPS_PROXY", NOBODY).set("TERARCHITECT_API_URL", NOBODY);
    let (code, findings) = scene.check().await;
    assert_eq!((code, failed(&findings)), (Some(1), vec!["HTTPS_PROXY", "app"]));
}

#[tokio::test]
async fn a_proxy_named_by_host_and_port_alone_is_healthy() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let proxy = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = proxy.local_addr().unwrap().port();
    scene.home.set("HTTPS_PROXY", &format!("localhost:{port}"));
    scene.assert_healthy().await;
}

#[tokio::test]
async fn a_proxy_that_containers_alone_do_not_reach() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.home.set("AGENT_HTTPS_PROXY", NOBODY);
    scene.assert_broken("proxies and CA in containers", "AGENT_HTTPS_PROXY").await;
}

#[tokio::test]
async fn a_ca_that_nobody_was_told_of() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let authority = CertificateAuthority::new("Test Authority");
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let front = TlsFront::start(here, scene.app.port(), &authority, None).await;
    scene.home.set("TERARCHITECT_API_URL", &front.url());
    scene.assert_broken("app", "set EXTRA_CA_FILE").await;

    // And one that is another than that.
    let other = CertificateAuthority::new("Another Authority");
    let bundle = scene.folder().join("ca.pem");
    fs::write(&bundle, other.pem()).unwrap();
    scene.home.set("EXTRA_CA_FILE", bundle.to_str().unwrap());
    scene.assert_broken("app", "set EXTRA_CA_FILE").await;
}

#[tokio::test]
async fn a_ca_that_is_not_there_or_has_expired() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let bundle = scene.folder().join("ca.pem");
    scene.home.set("EXTRA_CA_FILE", bundle.to_str().unwrap());
    let (code, printed) = scene.home.command(&["check", "--quick"]).await;
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("EXTRA_CA_FILE"), "{printed}");

    fs::write(&bundle, CertificateAuthority::expired("Old Authority").pem()).unwrap();
    scene.assert_broken("EXTRA_CA_FILE", "present certificate").await;
}

#[tokio::test]
async fn a_proxy_that_takes_tls_apart_by_a_ca_that_is_not_known() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let authority = CertificateAuthority::new("Corp Authority");
    let login = Login { user: "me".to_owned(), password: "proxy-p4ss".to_owned() };
    let app = (Ipv4Addr::LOCALHOST, scene.app.port()).into();
    let hosts = BTreeMap::from([("app.corp.example".to_owned(), app)]);
    let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let proxy = InterceptingProxy::start(everywhere, login, &authority, hosts).await;
    let url = proxy.url().replace("0.0.0.0", "127.0.0.1");
    scene.home.set("HTTPS_PROXY", &url).set("TERARCHITECT_API_URL", "https://app.corp.example");
    scene.assert_broken("app", "set EXTRA_CA_FILE").await;

    let bundle = scene.folder().join("ca.pem");
    fs::write(&bundle, authority.pem()).unwrap();
    scene.home.set("EXTRA_CA_FILE", bundle.to_str().unwrap());
    scene.assert_healthy().await;
}

#[tokio::test]
async fn a_line_that_systemd_passes_over() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    scene.further = "export AGENT_IMAGE=of-a-shell\n".to_owned();
    scene.assert_noted("environment file", "without export").await;
}

#[tokio::test]
async fn the_environment_of_a_shell_is_not_that_of_the_service() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let file = scene.folder().join("service.env");
    let lines = scene.home.settings().map(|(name, value)| format!("{name}='{value}'\n"));
    fs::write(&file, lines.collect::<String>()).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    scene.home.set("TERARCHITECT_API_URL", NOBODY);
    let file = file.to_str().unwrap();
    let (code, printed) = scene.home.command(&["check", "--quick", "--env-file", file]).await;
    assert_eq!(code, Some(0), "{printed}");
    let nowhere = "/nonexistent/service.env";
    let (code, printed) = scene.home.command(&["check", "--quick", "--env-file", nowhere]).await;
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains(nowhere), "{printed}");
}

#[tokio::test]
async fn an_agent_runner_on_this_host_of_another_version() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let runner = scene.folder().join("agent-runner");
    fs::write(&runner, "#!/bin/sh\necho agent-runner 0.0.1\n").unwrap();
    fs::set_permissions(&runner, Permissions::from_mode(0o755)).unwrap();
    scene.home.set("AGENT_RUNNER_PATH", runner.to_str().unwrap());
    scene.assert_noted("agent-runner", "AGENT_RUNNER_PATH").await;
    scene.home.set("HOST_FALLBACK", "never").set("HOST_LOCAL", "never");
    scene.assert_healthy().await;
}

#[tokio::test]
async fn an_address_for_health_that_is_taken() {
    let Some(mut scene) = CheckScene::or_skip().await else { return };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    scene.home.set("HEALTH_LISTEN", &taken.local_addr().unwrap().to_string());
    scene.assert_broken("HEALTH_LISTEN", "another address").await;
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

/// The time after a while, as HTTP writes it.
fn date(later: &str) -> String {
    let mut date = Command::new("date");
    date.env("LC_ALL", "C").args(["-u", "-d", later, "+%a, %d %b %Y %H:%M:%S GMT"]);
    String::from_utf8(date.output().unwrap().stdout).unwrap().trim().to_owned()
}
