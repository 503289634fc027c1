//! What the commands print for programs is what `docs/commands.md` says.

use serde_json::Value;

use crate::scene::Scene;

const PAGE: &str = include_str!("../../../docs/commands.md");

/// The text below a heading of the page.
fn section(heading: &str) -> &'static str {
    let begin = format!("\n## {heading}\n");
    let (_, below) = PAGE.split_once(&begin).unwrap_or_else(|| panic!("no section {heading}"));
    below.split("\n## ").next().unwrap_or(below)
}

/// Whether a row of a table in the section has this field.
fn names(section: &str, field: &str) -> bool {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut firsts = rows.filter_map(|row| row.split('|').next());
    firsts
        .any(|first| first.split(['`', ',', ' ']).any(|name| name.trim_end_matches("[]") == field))
}

#[tokio::test]
async fn every_object_that_a_command_prints_has_its_version_and_the_fields_of_the_page() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    scene.app.ended(job.job_id).await;
    let job = job.job_id.to_string();
    for (heading, arguments) in [
        ("status", vec!["status"]),
        ("jobs", vec!["jobs"]),
        ("explain", vec!["explain", &job]),
        ("why-idle", vec!["why-idle"]),
        ("log-level", vec!["log-level", "debug", "--for", "1m"]),
        ("gc", vec!["gc", "--dry-run"]),
        ("check", vec!["check", "--quick"]),
        ("config", vec!["config"]),
        ("version", vec!["version"]),
        ("pause, resume, drain", vec!["pause"]),
        ("pause, resume, drain", vec!["resume"]),
        ("pause, resume, drain", vec!["drain"]),
    ] {
        let arguments: Vec<_> = arguments.into_iter().chain(["--json"]).collect();
        let (_, text) = scene.home.command(&arguments).await;
        let object: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"));
        assert_eq!(object["version"], 1, "{arguments:?}: {text}");
        for field in object.as_object().unwrap().keys() {
            assert!(names(section(heading), field), "docs/commands.md, {heading}: no {field}");
        }
    }
    assert!(coordinator.wait().await.success());
}
