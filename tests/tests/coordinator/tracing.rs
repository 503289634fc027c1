//! A job as a trace: of the coordinator alone, and across it and the real agent.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use integration_tests::forge::{ForgeOptions, RepoSource, TestForge, Token};
use integration_tests::harness::{App, Home, Inbox, eventually, program, repo_name};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scene::Scene;

const TOKEN: &str = "the-token-of-the-forge";

/// A `claude` that takes the prompt, adds a line to a file and says so.
const CLAUDE: &str = r#"#!/bin/sh
cat > /dev/null
env > "$0.env"
echo hello >> HELLO.md
printf '%s\n' '{"type":"result","subtype":"success","is_error":false,"result":"All done."}'
"#;

/// The spans by their names, once there are these; each name once.
async fn spans(inbox: &Inbox, names: &[&str]) -> BTreeMap<String, (String, Value)> {
    let found = async || {
        let named = inbox.spans().into_iter();
        let by_name: BTreeMap<_, _> = named
            .map(|(program, span)| (span["name"].as_str().unwrap().to_owned(), (program, span)))
            .collect();
        names.iter().all(|name| by_name.contains_key(*name)).then_some(by_name)
    };
    eventually(&format!("spans {names:?}"), found).await
}

fn attribute(span: &Value, name: &str) -> Option<String> {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == name)?;
    Some(found["value"]["stringValue"].as_str()?.to_owned())
}

/// All are of one trace; these are parts of that.
fn assert_parts(spans: &BTreeMap<String, (String, Value)>, whole: &str, parts: &[&str]) {
    let whole = &spans[whole].1;
    for part in parts {
        let part = &spans[*part].1;
        assert_eq!(part["traceId"], whole["traceId"], "{part}");
        assert_eq!(part["parentSpanId"], whole["spanId"], "{part}");
        let nanos = |span: &Value, name| span[name].as_str().unwrap().parse::<u64>().unwrap();
        assert!(nanos(part, "startTimeUnixNano") <= nanos(part, "endTimeUnixNano"), "{part}");
    }
}

#[tokio::test]
async fn a_job_is_one_trace_with_the_agent_s_own_account_of_its_run() {
    let inbox = Inbox::start().await;
    let outcome = json!({"version": 1, "verdict": "delivered", "cause": "delivered",
        "summary": "hunter2", "runner_version": "0", "phases": [
        {"name": "clone", "began_millis": 0, "millis": 5}]});
    let script = format!(
        "echo parent=$(field TRACEPARENT); echo to=$(field AGENT_OTLP_ENDPOINT); \
         echo {} | base64 -d >$AGENT_OUTCOME_FILE; pause",
        STANDARD.encode(outcome.to_string())
    );
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.app.set_script(&script).await;
    scene.home.set("OTEL_EXPORTER_OTLP_ENDPOINT", &inbox.url());
    scene.home.set("OTEL_EXPORTER_OTLP_HEADERS", "x-key=the-key-of-the-collector");
    let job = scene.add_job().await;
    let first = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    // The trace outlives the coordinator that began it.
    first.kill().await;
    let taken_up = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let second = scene.home.start();
    scene.engine.release(job.job_id).await;
    scene.app.ended(job.job_id).await;
    let spans = spans(&inbox, &["job", "agent", "report", "run", "clone"]).await;
    assert_parts(&spans, "job", &["agent", "report"]);
    assert_parts(&spans, "agent", &["run"]);
    assert_parts(&spans, "run", &["clone"]);
    let of_job = &spans["job"].1;
    assert_eq!(attribute(of_job, "job.id"), Some(job.job_id.to_string()));
    assert_eq!(attribute(of_job, "outcome").as_deref(), Some("completed"));
    assert_eq!(of_job["parentSpanId"], Value::Null);
    let agent = &spans["agent"].1;
    let began = |span: &Value| span["startTimeUnixNano"].as_str().unwrap().parse::<u128>().unwrap();
    assert!(began(agent) < taken_up, "an agent begins where it was started: {agent}");
    assert_eq!(began(&spans["clone"].1), began(agent));
    let [trace, span] = ["traceId", "spanId"].map(|id| agent[id].as_str().unwrap());
    assert_eq!(attribute(&spans["run"].1, "job.id"), Some(job.job_id.to_string()));
    let log = scene.home.job_log(job.job_id);
    assert!(log.contains(&format!("parent=00-{trace}-{span}-01\n")), "{log}");
    assert!(log.contains("to=\n"), "{log}");
    for posted in inbox.posted() {
        assert_eq!(posted.path, "/v1/traces");
        assert_eq!(posted.header("x-key"), Some("the-key-of-the-collector"));
        assert!(!posted.body.contains("hunter2"), "{}", posted.body);
    }
    second.terminate().await;
}

#[tokio::test]
async fn a_collector_that_takes_nothing_holds_up_no_job_and_is_said_once() {
    let inbox = Inbox::start().await;
    inbox.answer(&[400; 50]);
    let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
    scene.home.set("OTEL_EXPORTER_OTLP_ENDPOINT", &inbox.url());
    let mut coordinator = scene.home.start();
    for _ in 0..3 {
        let job = scene.add_job().await;
        assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    }
    coordinator.wait_for_log("spans are not sent: the collector answered 400").await;
    let before = inbox.posted().len();
    let job = scene.add_job().await;
    assert_eq!(scene.app.ended(job.job_id).await.status, "completed");
    inbox.has(before + 1).await;
    let said = coordinator
        .log()
        .lines()
        .filter(|line| line.contains(" WARN ") && line.contains("spans"))
        .count();
    assert_eq!(said, 1, "{}", coordinator.log());
    coordinator.terminate().await;
}

#[tokio::test]
async fn the_real_agent_goes_on_in_the_trace_of_the_coordinator() {
    let inbox = Inbox::start().await;
    let folder = tempfile::tempdir().unwrap();
    let options = ForgeOptions::new(folder.path().join("forge"), Token::new(TOKEN).unwrap());
    let forge = TestForge::start(options).await.unwrap();
    let repo = repo_name();
    forge.create_repo(&repo, RepoSource::From(&seed(&folder))).await.unwrap();
    let app = App::start_with(&[]).await;
    let project = app.add_project(forge.clone_url(&repo).as_str()).await;
    let mut home = Home::new(&app.url());
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", claude(&folder));
    for (name, value) in [
        ("PATH", path.as_str()),
        ("HOST_FALLBACK", "always"),
        ("AGENT_RUNNER_PATH", program("agent-runner").to_str().unwrap()),
        ("FORGE_API_URL", forge.api_url().as_str()),
        ("GITHUB_TOKEN", TOKEN),
        ("WORKER_MODE", "claude-code"),
        ("WORKER_API_KEY", "sk-a-key-of-the-model"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &inbox.url()),
        ("AGENT_OTLP_ENDPOINT", &inbox.url()),
    ] {
        home.set(name, value);
    }
    let job = app.add_job(project).await;
    let coordinator = home.start();
    let ended = app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{:?}\n{}", ended.fail_reason, home.job_log(job.job_id));
    let steps = ["prepare", "clone", "worker", "push", "pull_request", "clean_up"];
    let names = [&["job", "claim", "launch", "agent", "report", "run"][..], &steps].concat();
    let spans = spans(&inbox, &names).await;
    assert_parts(&spans, "job", &["claim", "launch", "agent", "report"]);
    assert_parts(&spans, "agent", &["run"]);
    assert_parts(&spans, "run", &steps);
    for (name, program) in [("launch", "terarchitect-coordinator"), ("clone", "terarchitect-agent")]
    {
        assert_eq!(spans[name].0, program);
    }
    let runs = inbox.spans().into_iter().filter(|(_, span)| span["name"] == "run").count();
    assert_eq!(runs, 1, "the run is sent by one of the two");
    for posted in inbox.posted() {
        assert!(
            !posted.body.contains(TOKEN) && !posted.body.contains("sk-a-key"),
            "{}",
            posted.body
        );
    }
    let of_worker = fs::read_to_string(folder.path().join("bin/claude.env")).unwrap();
    assert!(!of_worker.contains("OTLP") && !of_worker.contains("TRACEPARENT"), "{of_worker}");
    coordinator.terminate().await;
    forge.shutdown().await.unwrap();
}

fn claude(folder: &TempDir) -> String {
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("claude"), CLAUDE).unwrap();
    fs::set_permissions(bin.join("claude"), Permissions::from_mode(0o755)).unwrap();
    bin.display().to_string()
}

fn seed(folder: &TempDir) -> std::path::PathBuf {
    let seed = folder.path().join("seed");
    fs::create_dir(&seed).unwrap();
    fs::write(seed.join("README"), "hello\n").unwrap();
    let git = "cd $0 && git init -q -b main && git add . && \
        git -c user.name=P -c user.email=p@example.org commit -q -m first";
    assert!(Command::new("sh").args(["-c", git]).arg(&seed).status().unwrap().success());
    seed
}
