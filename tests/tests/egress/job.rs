//! Whole jobs with real CLIs, from the app's queue to the pull request, behind a gateway.

use std::process::Command;

use integration_tests::harness::{
    Deployment, DockerMode, Engine, Job, Keys, cli_image, eventually,
};
use integration_tests::llm::{Scenario, Script};

use crate::scene::{HOST, Server, addresses_of_host};

/// What the model accepts, and nothing else.
const KEY: &str = "sk-the-real-key-of-the-model";
const TOKEN: &str = "ghp_the-token-of-the-forge";

/// The file that holds what the worker's shell said.
const SEEN: &str = "seen.txt";

/// A system whose agents work with this CLI; none where there is no agent's image.
async fn system(cli: &str, script: Script) -> Option<Deployment> {
    let engine = Engine::or_skip().await?;
    let image = cli_image(&engine).await?;
    let [forge, worker_api, model] = [TOKEN, "key-of-the-app", KEY].map(str::to_owned);
    let keys = Keys { forge, worker_api, model };
    let files = [("README", "hello\n")];
    let mut system = Deployment::start(&engine, image, DockerMode::None, &keys, &files).await;
    system.llm.set_script(Script { api_key: Some(KEY.to_owned()), ..script }).unwrap();
    system.home.set("WORKER_MODE", cli);
    if cli == "claude-code" {
        system.home.set("WORKER_LLM_URL", system.llm.url().as_str());
    }
    Some(system)
}

fn pulls(system: &Deployment) -> usize {
    system.forge.pulls(&system.repo).len()
}

/// What a worker's shell said of itself, as its job published it.
fn seen(system: &Deployment, job: &Job) -> String {
    let place = format!("ticket-{}:{SEEN}", job.ticket_id);
    let repo = system.forge.repo_path(&system.repo);
    let shown = Command::new("git").arg("-C").arg(repo).args(["show", &place]).output();
    String::from_utf8(shown.unwrap().stdout).unwrap()
}

/// A model whose worker runs this in its shell, and then says that it is done.
fn running(shell: &str) -> Script {
    Script { shell: Some(format!("{{ {shell}; }} > {SEEN} 2>&1")), ..Script::default() }
}

#[tokio::test]
async fn a_job_behind_an_allow_list_works_without_the_models_key_and_its_log_has_what_was_refused()
{
    let other = Server::start("another service of this host").await;
    let port = other.port;
    let direct: String = addresses_of_host()
        .await
        .iter()
        .map(|address| format!("curl -sS -m 2 --noproxy '*' http://{address}:{port}/ & "))
        .collect();
    let shell = format!(
        "curl -sS -m 9 https://evil.example/; curl -sS -m 9 http://{HOST}:{port}/; {direct} wait
        getent hosts secret.evil.example; env; cat /proc/*/environ"
    );
    let Some(mut system) = system("claude-code", running(&shell)).await else { return };
    system.home.set("AGENT_EGRESS", "allowlist").set("AGENT_MODEL_GATEWAY", "outside");
    let job = system.add_job("test").await;
    let coordinator = system.coordinator("");
    let shown = eventually("both containers", async || {
        let agent = system.engine.inspect(job.job_id).await?;
        Some(format!("{agent:?} {:?}", system.engine.inspect_gateway(job.job_id).await?))
    });
    let shown = shown.await;
    let ended = system.app.ended(job.job_id).await;
    let log = system.home.job_log(job.job_id);
    assert_eq!((ended.status.as_str(), pulls(&system)), ("completed", 1), "{log}");

    for what in
        ["CONNECT evil.example:443", &format!("HTTP {HOST}:{port}"), "DNS A secret.evil.example"]
    {
        let line = format!("\negress: refused {what}: not allowed by AGENT_EGRESS\n");
        assert!(log.contains(&line), "{what}: {log}");
    }
    let said = seen(&system, &job);
    let refused = format!("{HOST}:{port}: not allowed by AGENT_EGRESS");
    assert!(said.contains(&refused) && !said.contains("another service"), "{said}");
    for place in [&shown, &log, &said] {
        assert!(!place.contains(KEY) && !place.contains(TOKEN), "{place}");
    }
    // Yet it is what the model was asked with.
    let requests = system.llm.requests();
    let with_key = |headers: &[(String, String)]| headers.iter().any(|(_, value)| value == KEY);
    assert!(requests.iter().all(|request| with_key(&request.headers)), "{requests:?}");
    assert_eq!(system.llm.conversations().len(), 2);
    coordinator.terminate().await;
}

#[tokio::test]
async fn while_a_list_is_learned_a_job_reaches_all_and_its_log_has_the_list() {
    let other = Server::start("another service of this host").await;
    let shell = format!("curl -sS -m 9 http://{HOST}:{}/", other.port);
    let Some(mut system) = system("opencode", running(&shell)).await else { return };
    system.home.set("AGENT_EGRESS", "allowlist").set("AGENT_EGRESS_LEARN", "1");
    let job = system.add_job("test").await;
    let coordinator = system.coordinator("");
    let ended = system.app.ended(job.job_id).await;
    let log = system.home.job_log(job.job_id);
    assert_eq!((ended.status.as_str(), pulls(&system)), ("completed", 1), "{log}");
    assert_eq!(seen(&system, &job), "another service of this host");
    let target = format!("{HOST}:{}", other.port);
    assert!(log.contains(&format!("\negress: learned {target}\n")), "{log}");
    let list = log.lines().find_map(|line| line.strip_prefix("egress: this job needed "));
    assert!(list.is_some_and(|list| list.split(", ").any(|one| one == target)), "{log}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_budget_at_a_gateway_outside_ends_a_call_in_mid_stream_and_the_job_with_it() {
    // 600 tokens in pieces of 6. What the provider says it read is more than what the CLI's request is
    // taken for beforehand.
    let script = Script {
        scenario: Scenario::Noop,
        noop_text: "x".repeat(2_400),
        input_tokens: 50_000,
        output_tokens: 600,
        ..Script::default()
    };
    let Some(mut system) = system("claude-code", script).await else { return };
    system.home.set("AGENT_MODEL_GATEWAY", "outside").set("WORKER_TOKEN_BUDGET", "50222");
    let job = system.add_job("test").await.job_id;
    let coordinator = system.coordinator("");
    let ended = system.app.ended(job).await;
    let log = system.home.job_log(job);
    let reason = ended.fail_reason.unwrap_or_default();
    assert!(reason.contains("budget exhausted") && pulls(&system) == 0, "{reason}: {log}");
    // Told by the agent's gateway and by the one beside it, whose budget is the same.
    assert_eq!(log.matches("input=50000 cached=200 output=222").count(), 2, "{log}");
    coordinator.terminate().await;
}
