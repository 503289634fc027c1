//! What an agent says that it came to: collected from wherever it ran, kept, told, and never believed
//! against its exit code.

use std::fs;

use api_client::JobId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use integration_tests::harness::{Coordinator, Job, eventually, release_process};
use serde_json::{Value, json};

use crate::host::open_to_others;
use crate::scene::Scene;

/// Where the work of the documents here was saved.
const RESCUE: &str = "ticket-1-rescue";

/// A piece of script that leaves a text as the outcome.
pub(crate) fn leaving(text: &str) -> String {
    format!("echo {} | base64 -d >$AGENT_OUTCOME_FILE", STANDARD.encode(text))
}

/// The document of a worker that failed, and left something.
fn document() -> Value {
    json!({
        "version": 1, "verdict": "partial", "cause": "worker_failed",
        "summary": "the model was \u{1b}[31maway", "runner_version": "0.1.0",
        "rescue": {"branch": RESCUE, "commit": "a".repeat(40)},
    })
}

fn kept(scene: &Scene, job: JobId) -> Value {
    let path = scene.home.state_dir().join("logs").join(format!("{job}.ended.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The job has failed, the app knows where its work is, and so does the operator.
async fn is_told(scene: &mut Scene, job: &Job) {
    let ended = scene.app.ended(job.job_id).await;
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(reason.starts_with("worker failed"), "{reason}");
    assert!(reason.contains("; the agent: the model was [31maway; "), "{reason}");
    assert!(reason.ends_with(RESCUE), "{reason}");
    let log = scene.app.ticket_log(job).await;
    assert!(log.iter().any(|entry| entry.summary.contains(RESCUE)), "{log:?}");
    assert_eq!(kept(scene, job.job_id)["document"]["verdict"], "partial");
    let (code, text) = scene.home.command(&["jobs"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("partial: worker_failed") && text.contains(RESCUE), "{text}");
}

#[tokio::test]
async fn what_an_agent_came_to_is_fetched_from_its_container_and_told() {
    let script = format!("{}; exit 4", leaving(&document().to_string()));
    let Some(mut scene) = Scene::or_skip(&script).await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    is_told(&mut scene, &job).await;
    let (_, text) = scene.home.command(&["jobs", "--json", "--limit", "1"]).await;
    let listed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(listed["jobs"][0]["document"]["rescue"]["branch"], RESCUE);
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_agent_finds_its_image_and_the_folder_for_its_outcome_where_the_root_is_read_only() {
    let script = "echo image: $(field AGENT_IMAGE); echo $(stat -c %U ${AGENT_OUTCOME_FILE%/*})";
    let script = format!("{script}; {}; exit 4", leaving(&document().to_string()));
    let Some(mut scene) = Scene::or_skip(&script).await else { return };
    scene.home.set("AGENT_READ_ONLY", "1");
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    is_told(&mut scene, &job).await;
    let printed = scene.home.job_log(job.job_id);
    assert!(printed.contains("image: terarchitect-test-stub (sha256:"), "{printed}");
    assert!(printed.contains("\nroot\n"), "{printed}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn what_an_agent_on_the_host_came_to_outlives_its_temporary_files() {
    let script = format!("{}; exit 4", leaving(&document().to_string()));
    for user in [None, Some("nobody")] {
        let Some(mut scene) = Scene::or_skip(&script).await else { return };
        scene.home.set("HOST_FALLBACK", "always");
        if let Some(user) = user {
            open_to_others(&scene);
            scene.home.set("HOST_USER", user);
        }
        let job = scene.add_job().await;
        let coordinator = scene.home.start();
        is_told(&mut scene, &job).await;
        coordinator.terminate().await;
    }
}

#[tokio::test]
async fn an_outcome_is_collected_though_the_coordinator_was_away_at_the_end() {
    let script = format!("pause; {}; exit 4", leaving(&document().to_string()));
    let Some(mut scene) = Scene::or_skip(&script).await else { return };
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    first.kill().await;
    scene.engine.release(job.job_id).await;
    eventually("its end", async || (!scene.engine.runs(job.job_id).await).then_some(())).await;
    let second = scene.home.start();
    is_told(&mut scene, &job).await;
    second.terminate().await;
}

#[tokio::test]
async fn an_outcome_is_collected_though_the_coordinator_was_away_at_the_end_of_a_host_run() {
    let script = format!("pause; {}; exit 4", leaving(&document().to_string()));
    let Some(mut scene) = Scene::or_skip(&script).await else { return };
    scene.home.set("HOST_FALLBACK", "always");
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.home.pausing(job.job_id).await;
    first.kill().await;
    release_process(*scene.home.host_runs().first().unwrap());
    eventually("its end", async || scene.home.kept_an_end().then_some(())).await;
    let second = scene.home.start();
    is_told(&mut scene, &job).await;
    second.terminate().await;
}

#[tokio::test]
async fn a_missing_or_unreadable_outcome_changes_nothing_and_is_named_once() {
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    let coordinator = scene.home.start();
    let file = "$AGENT_OUTCOME_FILE";
    let large = format!("head -c 1100000 /dev/zero >{file}");
    let other = json!({"version": 1, "verdict": "delivered", "cause": "delivered", "summary": "x",
        "runner_version": "0", "job": "another"});
    for (script, words) in [
        ("true".to_owned(), "the agent left no outcome document"),
        (large, "is larger than 1024 KiB"),
        (format!("mkdir {file}"), "something that is no file"),
        (format!("ln -s /etc/passwd {file}"), "something that is no file"),
        (format!("mkfifo {file}"), "something that is no file"),
        (format!("garbage >{file}"), "cannot be used"),
        (leaving(&other.to_string()), "`job` is another one"),
    ] {
        scene.app.set_script(&format!("{script}; exit 0")).await;
        let job = scene.add_job().await;
        let ended = scene.app.ended(job.job_id).await;
        assert_eq!(ended.status, "completed", "{script}: {:?}", ended.fail_reason);
        assert_eq!(said(&coordinator, &job, words), 1, "{script}: {}", coordinator.log());
        let kept = kept(&scene, job.job_id);
        assert!(kept["doubt"].as_str().unwrap().contains(words), "{kept}");
        assert_eq!(kept["document"], Value::Null);
    }
    coordinator.terminate().await;
}

/// How many lines of the log say this of a job.
fn said(coordinator: &Coordinator, job: &Job, words: &str) -> usize {
    let (log, id) = (coordinator.log(), job.job_id.to_string());
    log.lines().filter(|line| line.contains(words) && line.contains(&id)).count()
}

#[tokio::test]
async fn a_forged_outcome_completes_no_job_and_is_not_told() {
    let forged = json!({
        "version": 1, "verdict": "delivered", "cause": "delivered", "summary": "all is well",
        "runner_version": "0", "pull_request": {"url": "https://evil.example/1", "number": 1,
        "head": "b".repeat(40)},
    });
    let script = format!("{}; exit 4", leaving(&forged.to_string()));
    let Some(mut scene) = Scene::or_skip(&script).await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "failed");
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(!reason.contains("evil") && !reason.contains("well"), "{reason}");
    assert_eq!(said(&coordinator, &job, "says `delivered`"), 1, "{}", coordinator.log());
    let (_, text) = scene.home.command(&["jobs"]).await;
    assert!(text.contains("failed") && !text.contains("evil"), "{text}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_secret_in_an_outcome_is_neither_kept_nor_told() {
    let mut document = document();
    document["summary"] = json!("it printed sk-very-secret-key");
    let script = format!("{}; exit 4", leaving(&document.to_string()));
    for fallback in ["never", "always"] {
        let Some(mut scene) = Scene::or_skip(&script).await else { return };
        scene.home.set("HOST_FALLBACK", fallback);
        scene.app.set("WORKER_API_KEY", "sk-very-secret-key").await;
        let job = scene.add_job().await;
        let coordinator = scene.home.start();
        let reason = scene.app.ended(job.job_id).await.fail_reason.unwrap_or_default();
        assert!(reason.contains("it printed [redacted]"), "{reason}");
        let kept = kept(&scene, job.job_id).to_string();
        assert!(kept.contains("it printed [redacted]") && !kept.contains("sk-very"), "{kept}");
        coordinator.terminate().await;
    }
}
