//! What a host has of the Python coordinator: its environment file and its state directory, taken over as
//! they are (docs/migration.md).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use integration_tests::harness::{KEY, STUB_IMAGE};
use serde_json::{Value, json};

use crate::scene::Scene;

/// What tests need beside the file: a place to look for programs, and to be asked often.
const OF_THE_TEST: [&str; 5] = ["PATH", "HOME", "AGENT_RUNNER_PATH", "LOG_FORMAT", "DOCKER_HOST"];

/// An environment file as the original's runbook has it, with a comment, quotes and names that mean
/// nothing any more.
fn environment_file(port: u16, project: &str, state: &Path) -> String {
    format!(
        "# Terarchitect coordinator\n\
         TERARCHITECT_API_URL=http://host.docker.internal:{port}\n\
         PROJECT_ID={project}\n\
         GITHUB_TOKEN=\"ghp_original\"\n\
         TERARCHITECT_WORKER_API_KEY={KEY}\n\
         MAX_CONCURRENT_AGENTS=2\n\
         POLL_INTERVAL_SEC=1\n\
         AGENT_CACHE_VOLUME=\n\
         DOCKER_NETWORK=bridge\n\
         COORDINATOR_STATE_DIR={}\n\
         COORDINATOR_REPO_ROOT=/opt/terarchitect\n\
         PYTHONPATH=/opt/terarchitect\n",
        state.display(),
    )
}

/// The lines as systemd reads them.
fn variables(file: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name, value.trim_matches('"')))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
}

#[tokio::test]
async fn an_environment_file_and_a_state_directory_of_the_original_are_taken_over_as_they_are() {
    let Some(mut scene) = Scene::with_app(&["--original"], "exit 0").await else { return };
    let state = scene.home.dir().join("original");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, PermissionsExt::from_mode(0o755)).unwrap();
    let (project, other) = (scene.project.to_string(), "b0acb5a0-d0bc-4738-89d0-347ecd318506");
    let images = json!({ &project: STUB_IMAGE, other: "team/agent:3" });
    write(&state.join("project_images.json"), &images.to_string());
    write(&state.join("run_command.txt"), "docker run --rm -e GITHUB_TOKEN=ghp_original …\n");

    let set: Vec<_> = scene.home.variables().map(str::to_owned).collect();
    for name in set.iter().filter(|name| !OF_THE_TEST.contains(&name.as_str())) {
        scene.home.unset(name);
    }
    let file = environment_file(scene.app.port(), &project, &state);
    for (name, value) in variables(&file) {
        scene.home.set(name, value);
    }
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    let log = coordinator.terminate().await;
    assert!(log.contains("AGENT_RUNNER_PATH"), "the successor of COORDINATOR_REPO_ROOT: {log}");

    // The job ran in the project's image, not in the default. What else is there stays, and the map is
    // what the original would read.
    let text = fs::read_to_string(state.join("project_images.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), images);
    assert!(state.join("run_command.txt").exists());
    assert!(!log.contains("ghp_original"), "{log}");
}
