//! Where no coordinator runs, the commands that do its work have its settings: from the file that the service has
//! its environment from, which is not the environment of the shell.

use std::fs;
use std::path::PathBuf;

use integration_tests::harness::{Home, KEY, eventually};
use serde_json::Value;

use crate::scene::Scene;

/// Moves all settings into a service's file, and leaves another's in the shell.
fn move_to_file(home: &mut Home) -> PathBuf {
    let file = home.dir().join("service.env");
    let lines = home.settings().filter(|(name, _)| !["PATH", "HOME"].contains(name));
    let lines: Vec<_> = lines.map(|(name, value)| format!("{name}='{value}'\n")).collect();
    fs::write(&file, lines.concat()).unwrap();
    let names: Vec<_> = home.settings().map(|(name, _)| name.to_owned()).collect();
    for name in names.iter().filter(|name| !["PATH", "HOME"].contains(&name.as_str())) {
        home.unset(name);
    }
    home.set("TERARCHITECT_API_URL", "http://127.0.0.1:1");
    file
}

#[tokio::test]
async fn config_shows_the_settings_of_the_service_and_names_its_file() {
    let mut home = Home::new("http://app.example:5010");
    let file = move_to_file(&mut home).display().to_string();
    let (code, said) = home.command(&["config", "--json", "--env-file", &file]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains(KEY), "{said}");
    let config: Value = serde_json::from_str(&said).unwrap();
    let of = |name: &str| {
        let mut settings = config["settings"].as_array().unwrap().iter();
        settings.find(|setting| setting["name"] == name).unwrap()
    };
    assert_eq!(of("TERARCHITECT_API_URL")["value"], "http://app.example:5010");
    for name in ["TERARCHITECT_API_URL", "TERARCHITECT_WORKER_API_KEY"] {
        let expected = format!("environment variable {name} of {file}");
        assert_eq!(of(name)["source"], expected, "{said}");
    }
    let (code, said) = home.command(&["config", "--env-file", "/nonexistent"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot read the environment file /nonexistent"), "{said}");
}

#[tokio::test]
async fn a_ticket_is_queued_again_and_garbage_removed_with_the_settings_of_the_service() {
    let Some(mut scene) = Scene::or_skip("exit 4").await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.app.ended(job.job_id).await;
    eventually("a job that is settled", async || scene.home.records().is_empty().then_some(()))
        .await;
    coordinator.terminate().await;
    let file = move_to_file(&mut scene.home).display().to_string();

    // What the shell says is no app.
    let id = job.job_id.to_string();
    let state_dir = scene.home.state_dir().display().to_string();
    let (code, said) = scene.home.command(&["retry", &id, "--state-dir", &state_dir]).await;
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = scene.home.command(&["retry", &id, "--env-file", &file]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("queued as job "), "{said}");
    scene.home.unset("TERARCHITECT_API_URL");
    let (code, said) = scene.home.command(&["gc", "--env-file", &file]).await;
    assert_eq!(code, Some(0), "{said}");
}
