//! What an operator is told about one job, and about none being claimed.

use std::fs;

use integration_tests::harness::{Coordinator, eventually};
use serde_json::Value;

use crate::scene::Scene;

/// Prints something before and after it is let go on, and fails.
const TELLING: &str = "echo one; pause; echo 'error: two'; exit 4";

async fn json(scene: &mut Scene, arguments: &[&str]) -> Value {
    let (code, text) = scene.home.command(arguments).await;
    assert_eq!(code, Some(0), "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn course(page: &Value) -> Vec<&str> {
    page["timeline"].as_array().unwrap().iter().map(|row| row["what"].as_str().unwrap()).collect()
}

/// Waits until nothing is left to be reported.
async fn settled(scene: &Scene) {
    eventually("the report", async || scene.home.records().is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_job_is_explained_while_it_runs_after_it_has_ended_and_without_a_coordinator() {
    let Some(mut scene) = Scene::or_skip(TELLING).await else { return };
    scene.home.set("DOCKER_NETWORK", "bridge");
    let job = scene.add_job().await;
    let id = job.job_id.to_string();
    let first = scene.home.start();
    scene.home.pausing(job.job_id).await;
    let (code, page) = scene.home.command(&["explain", &id[..8]]).await;
    assert_eq!(code, Some(0), "{page}");
    for part in [&id, "running in a container", "agent has the job", "| one", "coordinator logs -f"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    first.kill().await;
    let gone = json(&mut scene, &["explain", "--json", &id]).await;
    assert_eq!((&gone["state"], &gone["coordinator"]), (&"open".into(), &"not_running".into()));

    let second = scene.home.start();
    scene.engine.release(job.job_id).await;
    scene.app.ended(job.job_id).await;
    settled(&scene).await;
    let page = json(&mut scene, &["explain", "--json", &job.ticket_id.to_string()]).await;
    assert_eq!((&page["job"], &page["state"]), (&id.clone().into(), &"settled".into()));
    assert_eq!((&page["exit_code"], &page["report"]), (&4.into(), &"acknowledged".into()));
    let expected = [
        "claimed",
        "container created",
        "container started",
        "agent has the job",
        "taken up by a coordinator that was started anew",
        "ended",
        "reported to the app",
    ];
    assert_eq!(course(&page), expected);
    second.terminate().await;

    let (code, page) = scene.home.command(&["explain", &id]).await;
    assert_eq!(code, Some(0), "{page}");
    for part in ["failed: worker failed", "| error: two", "What it means", "coordinator retry"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (code, said) = scene.home.command(&["explain", "ffffffff"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no job or ticket ffffffff is known"), "{said}");
}

#[tokio::test]
async fn a_log_is_followed_to_the_end_of_its_job_over_a_restart_of_the_coordinator() {
    let Some(mut scene) = Scene::or_skip(TELLING).await else { return };
    scene.home.set("DOCKER_NETWORK", "bridge");
    let job = scene.add_job().await;
    let id = job.job_id.to_string();
    let first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    scene.home.pausing(job.job_id).await;
    first.kill().await;
    let second = scene.home.start();
    // The third start of the program in this home.
    let shown = scene.home.dir().join("coordinator.3.log");
    let (app, engine) = (&scene.app, &scene.engine);
    let release = async {
        let seen = || fs::read_to_string(&shown).unwrap_or_default();
        eventually("the first lines", async || seen().contains("pausing").then_some(())).await;
        engine.release(job.job_id).await;
        app.ended(job.job_id).await;
    };
    let follow = ["logs", "-f", &id];
    let ((code, text), ()) = tokio::join!(scene.home.command(&follow), release);
    assert_eq!(code, Some(4), "{text}");
    for line in ["one", "pausing", "error: two"] {
        assert_eq!(text.lines().filter(|shown| *shown == line).count(), 1, "{line}: {text}");
    }
    let last = text.lines().last().unwrap();
    assert!(last.starts_with(&format!("coordinator: job {id}: failed: worker failed")), "{text}");

    let (code, text) = scene.home.command(&["logs", "--tail", "1", &id]).await;
    assert_eq!((code, text.as_str()), (Some(0), "error: two\n"));
    second.terminate().await;
}

async fn held_by(scene: &mut Scene, condition: &str) -> Value {
    let mut idle = Value::Null;
    eventually(condition, async || {
        let (code, text) = scene.home.command(&["why-idle", "--json"]).await;
        // It may not listen yet.
        idle = if code == Some(0) { serde_json::from_str(&text).unwrap() } else { Value::Null };
        (idle["condition"] == condition).then_some(())
    })
    .await;
    assert!(idle["mended_by"].is_string(), "{idle}");
    idle
}

async fn is_held_by(variable: (&str, &str), condition: &str, why: &str, mended_by: &str) {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.set("DOCKER_NETWORK", "bridge");
    scene.home.set(variable.0, variable.1);
    let coordinator = scene.home.start();
    let idle = held_by(&mut scene, condition).await;
    assert!(idle["why"].as_str().unwrap().contains(why), "{idle}");
    assert!(idle["mended_by"].as_str().unwrap().contains(mended_by), "{idle}");
    assert!(idle["age"].is_u64(), "{idle}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_engine_that_is_away_a_refused_key_and_a_full_disk_are_told_with_their_cures() {
    let away = ("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    is_held_by(away, "engine", "does not answer", "start Docker").await;
    let key = ("TERARCHITECT_WORKER_API_KEY", "another-key");
    is_held_by(key, "app_key", "401", "TERARCHITECT_WORKER_API_KEY").await;
    let disk = ("DISK_FLOOR_MIB", "999999999");
    is_held_by(disk, "disk", "DISK_FLOOR_MIB", "coordinator gc").await;
}

#[tokio::test]
async fn a_pause_full_slots_and_an_empty_queue_are_told_apart() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.home.set("DOCKER_NETWORK", "bridge");
    let (code, text) = scene.home.command(&["why-idle"]).await;
    assert_eq!(code, Some(3), "{text}");
    let coordinator: Coordinator = scene.home.start();
    eventually("an answer of the app", async || {
        let (code, text) = scene.home.command(&["why-idle"]).await;
        (code == Some(0) && text.contains("no job waits in the app (asked ")).then_some(())
    })
    .await;
    let job = scene.add_job().await;
    scene.engine.pausing(job.job_id).await;
    let idle = held_by(&mut scene, "slots_used").await;
    assert_eq!((&idle["slots_used"], &idle["slots"]), (&1.into(), &1.into()));
    assert_eq!(scene.home.command(&["pause"]).await.0, Some(0));
    let idle = held_by(&mut scene, "paused").await;
    assert_eq!(idle["mended_by"], "coordinator resume");
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_job_is_queued_again_once_and_never_while_it_runs() {
    let Some(mut scene) = Scene::or_skip("pause; exit 4").await else { return };
    let job = scene.add_job().await;
    let id = job.job_id.to_string();
    let coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    let (code, text) = scene.home.command(&["retry", &id]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("still held by this coordinator"), "{text}");
    let listed = json(&mut scene, &["jobs", "--json"]).await;
    assert_eq!(
        (&listed["coordinator_runs"], &listed["running"][0]["job"]),
        (&true.into(), &id.clone().into())
    );
    scene.engine.release(job.job_id).await;
    settled(&scene).await;

    let again = json(&mut scene, &["retry", "--json", &id]).await;
    assert_eq!(again["retry_of"], id.clone());
    let (code, text) = scene.home.command(&["retry", &id]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("has a job that waits or runs"), "{text}");
    let second = again["job"].as_str().unwrap().parse().unwrap();
    scene.engine.pausing(second).await;
    scene.engine.release(second).await;
    scene.app.ended(second).await;
    settled(&scene).await;
    let failed = json(&mut scene, &["jobs", "--json", "--failed", "--since", "1h"]).await;
    assert_eq!(failed["jobs"].as_array().unwrap().len(), 2);
    coordinator.terminate().await;

    // Without a coordinator the command asks by itself.
    let (code, text) = scene.home.command(&["retry", &id]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("queued as job "), "{text}");
}

#[tokio::test]
async fn of_the_original_app_the_operator_is_told_what_to_do_by_hand() {
    let Some(mut scene) = Scene::with_app(&["--original"], "exit 4").await else { return };
    scene.home.set("DOCKER_NETWORK", "bridge");
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.app.ended(job.job_id).await;
    settled(&scene).await;
    let (code, text) = scene.home.command(&["retry", &job.job_id.to_string()]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("move the ticket out of In Progress and back"), "{text}");
    coordinator.terminate().await;
}
