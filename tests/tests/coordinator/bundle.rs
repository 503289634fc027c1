//! An archive for a bug report, from a job to its replay: what is kept of the coding CLI, what gets into the
//! archive, and what is made of it again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use api_client::JobId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use integration_tests::harness::{
    Deployment, DockerMode, Engine, Keys, cli_image, program, release_process,
};
use serde_json::{Value, json};

use crate::scene::Scene;

/// A transcript of one turn that ended well.
fn transcript(secret: &str) -> String {
    let result = json!({"type": "result", "is_error": false, "result": format!("Done {secret}.")});
    let calls = json!({"calls": 0});
    [
        json!({"record": "turn", "version": 1, "cli": "claude-code", "own_provider": false,
               "turn_limit_secs": 60, "stall_limit_secs": 60}),
        json!({"record": "line", "text": result.to_string()}),
        json!({"record": "end", "how": {"exit_code": 0}, "stderr": "", "calls": calls,
               "ending": "finished", "detail": "finished"}),
    ]
    .map(|record| record.to_string() + "\n")
    .concat()
}

/// A piece of script that leaves a text in the file that a variable names.
fn leaving(variable: &str, text: &str) -> String {
    format!("echo {} | base64 -d >${variable}", STANDARD.encode(text))
}

fn outcome() -> String {
    json!({
        "version": 1, "verdict": "failed", "cause": "worker_failed", "summary": "x",
        "runner_version": "0.1.0",
        "turns": [{"ending": "finished", "detail": "finished", "millis": 1,
                   "tokens": {"input": 0, "cached": 0, "output": 0}}],
    })
    .to_string()
}

fn kept(scene: &Scene, job: JobId) -> PathBuf {
    scene.home.state_dir().join("logs").join(format!("{job}.transcript.jsonl"))
}

fn replay(bundle: &Path) -> (Option<i32>, String) {
    let output = Command::new(program("agent-runner")).arg("replay").arg(bundle).output();
    said(&output.unwrap())
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// The files of a bundle, in a folder of its own.
fn opened(bundle: &Path) -> PathBuf {
    let folder = bundle.with_extension("opened");
    fs::create_dir(&folder).unwrap();
    tar(&["-xzf", bundle.to_str().unwrap(), "-C", folder.to_str().unwrap()]);
    let inner = fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    inner.path()
}

fn packed(folder: &Path) -> PathBuf {
    let bundle = folder.with_extension("changed.tar.gz");
    let (parent, name) = (folder.parent().unwrap(), folder.file_name().unwrap());
    let arguments = ["-czf", bundle.to_str().unwrap(), "-C", parent.to_str().unwrap()];
    tar(&[&arguments[..], &[name.to_str().unwrap()]].concat());
    bundle
}

fn tar(arguments: &[&str]) {
    assert!(Command::new("tar").args(arguments).status().unwrap().success(), "{arguments:?}");
}

fn text_of(folder: &Path) -> String {
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

/// One real job of a real coding CLI.
async fn job_of(cli: &str) -> Option<(Deployment, JobId)> {
    let engine = Engine::or_skip().await?;
    let image = cli_image(&engine).await?;
    let keys = ["ghp_the-token-here", "key-of-the-app", "sk-the-key-of-the-model"];
    let [forge, worker_api, model] = keys.map(str::to_owned);
    let keys = Keys { forge, worker_api, model };
    let files = [("README", "hello\n")];
    let mut system = Deployment::start(&engine, image, DockerMode::None, &keys, &files).await;
    let path = if cli == "claude-code" { "" } else { "v1" };
    let model = system.llm.url().join(path).unwrap();
    system.home.set("WORKER_MODE", cli).set("WORKER_LLM_URL", model.as_str());
    let job = system.add_job("a job for a bundle").await;
    let coordinator = system.coordinator("");
    let ended = system.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{}", system.home.job_log(job.job_id));
    system.settled().await;
    // The running coordinator puts a bundle together, too.
    let id = job.job_id.to_string();
    let bundle = system.home.dir().join("first.tar.gz");
    let arguments = ["bundle", &id, "--output", bundle.to_str().unwrap()];
    let (code, text) = system.home.command(&arguments).await;
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = replay(&bundle);
    assert_eq!(code, Some(0), "{text}");
    coordinator.terminate().await;
    Some((system, job.job_id))
}

#[tokio::test]
async fn a_real_job_is_bundled_without_secrets_and_comes_to_the_same_end_again() {
    for cli in ["claude-code", "opencode"] {
        let Some((mut system, job)) = job_of(cli).await else { return };
        let later = "a-secret-that-was-set-later";
        let key = format!("npm_{}", "qkJaB6MffYVzZXWqmcoF49yrUxP3wf0LsakP");
        let log = system.home.job_log_path(job);
        let before = fs::read_to_string(&log).unwrap();
        fs::write(&log, format!("{before}\nknown: {later}, by its shape: {key}\n")).unwrap();
        system.home.set("NOTIFY_SECRET", later);
        let bundle = system.home.dir().join("bundle.tar.gz");
        let id = job.to_string();
        let arguments = ["bundle", &id, "--json", "--output", bundle.to_str().unwrap()];
        let (code, text) = system.home.command(&arguments).await;
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("pieces of your code (transcript.jsonl, log.txt)"), "{text}");
        assert_eq!(fs::metadata(&bundle).unwrap().permissions().mode() & 0o777, 0o600);

        let folder = opened(&bundle);
        let all = text_of(&folder);
        let keys = ["ghp_the-token-here", "key-of-the-app", "sk-the-key-of-the-model"];
        for secret in keys.into_iter().chain([later, key.as_str()]) {
            assert!(!all.contains(secret), "{secret}");
        }
        let manifest: Value =
            serde_json::from_str(&fs::read_to_string(folder.join("MANIFEST.json")).unwrap())
                .unwrap();
        assert_eq!((&manifest["version"], &manifest["job"]), (&1.into(), &id.as_str().into()));
        assert_eq!(manifest["worker"]["cli"], cli);
        assert!(manifest["redacted"].as_u64() >= Some(2), "{manifest}");
        assert_eq!(manifest["left_out"], json!([]), "{manifest}");

        let (code, page) = replay(&bundle);
        assert_eq!(code, Some(0), "{page}");
        for part in
            [&format!("turn 1: {cli}"), "ending    finished", "verdict   delivered", "\nsame as"]
        {
            assert!(page.contains(part), "{part}: {page}");
        }

        let transcript = folder.join("transcript.jsonl");
        let text = fs::read_to_string(&transcript).unwrap();
        let end = if cli == "opencode" { "\\\"reason\\\":\\\"stop\\\"" } else { "\\\"result\\\"" };
        assert!(text.contains(end), "{text}");
        fs::write(&transcript, text.replace(end, &end.replace("s", "z"))).unwrap();
        let (code, page) = replay(&packed(&folder));
        assert_eq!(code, Some(3), "{page}");
        assert!(
            page.contains("differs from the record:\n  turn 1: ending: on record finished"),
            "{page}"
        );
        assert!(page.contains("transcript.jsonl is not as it was"), "{page}");
    }
}

#[tokio::test]
async fn what_an_agent_took_down_is_kept_with_its_log_wherever_it_ran() {
    let secret = "ghp_a_secret_of_the_test";
    let script = format!(
        "pause; {}; {}; exit 4",
        leaving("AGENT_TRANSCRIPT_FILE", &transcript(secret)),
        leaving("AGENT_OUTCOME_FILE", &outcome())
    );
    for (name, value) in [("AGENT_READ_ONLY", "1"), ("HOST_FALLBACK", "always")] {
        let Some(mut scene) = Scene::or_skip(&script).await else { return };
        scene.home.set(name, value).set("GITHUB_TOKEN", secret);
        let job = scene.add_job().await;
        let first = scene.home.start();
        scene.home.pausing(job.job_id).await;
        // The end is not seen by who saw the beginning.
        first.kill().await;
        if name == "HOST_FALLBACK" {
            release_process(scene.home.host_runs()[0]);
        } else {
            scene.engine.release(job.job_id).await;
        }
        let second = scene.home.start();
        scene.app.ended(job.job_id).await;
        let text = fs::read_to_string(kept(&scene, job.job_id)).unwrap();
        assert_eq!(text, transcript("[redacted]"), "{name}");
        let id = job.job_id.to_string();
        let (_, page) = scene.home.command(&["explain", &id]).await;
        assert!(page.contains(&format!("{id}.transcript.jsonl")), "{page}");
        second.terminate().await;

        let bundle = scene.home.dir().join("bundle.tar.gz");
        let arguments = ["bundle", &id, "--output", bundle.to_str().unwrap()];
        let (code, text) = scene.home.command(&arguments).await;
        assert_eq!(code, Some(0), "{text}");
        let (code, page) = replay(&bundle);
        assert_eq!(code, Some(0), "{page}");

        let bytes = fs::read(&bundle).unwrap();
        fs::write(&bundle, &bytes[..bytes.len() / 2]).unwrap();
        let (code, line) = replay(&bundle);
        assert_eq!((code, line.lines().count()), (Some(1), 1), "{line}");
        assert!(line.contains("ends too early (after "), "{line}");
    }
}

#[tokio::test]
async fn a_bundle_says_what_is_missing_and_replaces_no_file_unasked() {
    let Some(mut scene) = Scene::or_skip("echo words of the worker; exit 4").await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.app.ended(job.job_id).await;
    coordinator.terminate().await;
    let (id, bundle) = (job.job_id.to_string(), scene.home.dir().join("bundle.tar.gz"));
    let mut arguments = vec!["bundle", &id[..8], "--output", bundle.to_str().unwrap(), "--no-log"];
    let (code, text) = scene.home.command(&arguments).await;
    assert_eq!(code, Some(0), "{text}");
    for part in ["not in it: transcript.jsonl: none is kept", "not in it: log.txt: left out by"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("pieces of your code"), "{text}");
    assert!(!text_of(&opened(&bundle)).contains("echo words of the worker"));
    let (code, page) = replay(&bundle);
    assert_eq!(code, Some(4), "{page}");
    assert!(page.contains("nothing to compare: no turn is on record"), "{page}");

    let (code, text) = scene.home.command(&arguments).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("is there already; --force replaces it"), "{text}");
    arguments.push("--force");
    let (code, text) = scene.home.command(&arguments).await;
    assert_eq!(code, Some(0), "{text}");

    // Of a job whose log is gone the rest is told.
    fs::remove_file(scene.home.job_log_path(job.job_id)).unwrap();
    let (code, text) =
        scene.home.command(&["bundle", &id, "--force", "-o", bundle.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("not in it: log.txt: none is kept"), "{text}");
}
