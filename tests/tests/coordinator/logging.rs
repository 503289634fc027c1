//! The coordinator's own log: what it promises of each job, and how it is changed while it runs.

use integration_tests::harness::{Coordinator, Job, eventually};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::scene::Scene;

/// The steps of a job's way, in their order.
const STEPS: [&str; 6] =
    ["job claimed", "agent started", "agent begun", "agent ended", "job completed", "reported to"];

/// Libraries of which operators want to hear nothing.
const NOISE: [&str; 4] = ["hyper", "reqwest", "bollard", "rustls"];

/// The lines about a job, which all must be objects.
fn lines_of(coordinator: &Coordinator, job: &Job) -> Vec<Value> {
    let log = coordinator.log();
    let lines = log.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let id = job.job_id.to_string();
    lines.filter(|line| line["job.id"] == id.as_str()).collect()
}

#[tokio::test]
async fn a_job_leaves_one_line_for_each_step_with_its_ids_and_in_words() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.set("LOG_FORMAT", "json").set("LOG_LEVEL", "info");
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("reported to").await;
    coordinator.signal(Signal::SIGTERM);
    coordinator.wait().await;
    let lines = lines_of(&coordinator, &job);
    let said: Vec<&str> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    let steps: Vec<_> =
        STEPS.iter().map(|step| said.iter().position(|said| said.contains(step))).collect();
    assert!(steps.iter().all(Option::is_some) && steps.is_sorted(), "{steps:?}: {said:#?}");
    for line in &lines {
        assert_eq!(line["ticket.id"], job.ticket_id.to_string(), "{line}");
        assert_eq!(line["project.id"], scene.project.to_string(), "{line}");
        assert!(line["message"].as_str().unwrap().contains(&job.job_id.to_string()), "{line}");
        for name in ["timestamp", "level", "target"] {
            assert!(line[name].is_string(), "{line}");
        }
    }
    let container = &lines[steps[1].unwrap()]["container.id"];
    assert_eq!(container.as_str().unwrap().len(), 64, "{container}");
    let after = &lines[steps[1].unwrap()..];
    assert!(after.iter().all(|line| line["container.id"] == *container), "{after:#?}");
    assert!(!coordinator.log().contains(r#""level":"debug""#), "{}", coordinator.log());
}

#[tokio::test]
async fn debug_is_of_our_own_programs_alone() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.set("LOG_FORMAT", "json").set("LOG_LEVEL", "trace");
    scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("reported to").await;
    let log = coordinator.log();
    let targets = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for line in targets {
        let target = line["target"].as_str().unwrap();
        assert!(!NOISE.iter().any(|noise| target.starts_with(noise)), "{line}");
    }
    coordinator.terminate().await;
}

#[tokio::test]
async fn the_level_is_changed_while_it_runs_and_goes_back_by_itself() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.set("LOG_LEVEL", "warn");
    let mut coordinator = scene.home.start();
    eventually("a control socket", async || {
        scene.home.state_dir().join("control.sock").exists().then_some(())
    })
    .await;
    assert_eq!(coordinator.log(), "");
    let (code, text) = scene.home.command(&["log-level", "loud"]).await;
    assert_eq!(code, Some(2), "{text}");
    let asked = scene.home.command(&["log-level", "info", "--for", "1s"]).await;
    assert_eq!(asked.0, Some(0), "{}", asked.1);
    coordinator.wait_for_log("the operator asks for the log by info for 1 s").await;
    coordinator.wait_for_log("the log is by the settings again: warn").await;
    assert_eq!(scene.home.command(&["pause"]).await.0, Some(0));
    assert_eq!(scene.home.command(&["resume"]).await.0, Some(0));
    assert!(!coordinator.log().contains("Paused"), "{}", coordinator.log());
    assert_eq!(scene.home.command(&["log-level", "coordinator=debug"]).await.0, Some(0));
    assert_eq!(scene.home.command(&["pause"]).await.0, Some(0));
    coordinator.wait_for_log("the operator asks: Paused").await;
    coordinator.signal(Signal::SIGHUP);
    // Read again, the settings are `warn`, by which this is not said.
    eventually("the level of the settings", async || {
        let before = coordinator.log();
        assert_eq!(scene.home.command(&["resume"]).await.0, Some(0));
        assert_eq!(scene.home.command(&["pause"]).await.0, Some(0));
        (coordinator.log() == before).then_some(())
    })
    .await;
    coordinator.terminate().await;
}
