//! Set-ups that are broken on this host: its disk, its files, its clock, or the programs on it.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use integration_tests::forge::Fault;
use integration_tests::harness::FullDisk;

use super::NOBODY;
use crate::check_scene::{CheckScene, TOKEN};

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
    fs::write(&token, TOKEN).unwrap();
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

/// The time after a while, as HTTP writes it.
fn date(later: &str) -> String {
    let mut date = Command::new("date");
    date.env("LC_ALL", "C").args(["-u", "-d", later, "+%a, %d %b %Y %H:%M:%S GMT"]);
    String::from_utf8(date.output().unwrap().stdout).unwrap().trim().to_owned()
}
