//! What is on the list is reached; what is not is refused by name; what is learned is listed.

use std::net::{Ipv4Addr, SocketAddr};

use integration_tests::llm::{LlmOptions, Script, ScriptedLlm};

use crate::scene::{HOST, Scene, Server};

#[tokio::test]
async fn a_listed_server_is_reached_and_all_else_is_refused_and_named_in_the_log() {
    let (own, other) = (Server::start("the job's own").await, Server::start("another").await);
    let listed = format!("{HOST}:{}", own.port);
    let document = [
        ("AGENT_EGRESS", "allowlist"),
        ("AGENT_EGRESS_ALLOW", &format!("{listed},registry.example")),
        ("AGENT_EGRESS_TRUSTED", &listed),
    ];
    let Some(scene) = Scene::new(&document).await else { return };
    let said = scene
        .shell(&format!(
            "ask() {{ curl --silent --show-error --max-time 10 \"$@\" 2>&1; }}
            ask http://{HOST}:{own}/; echo; ask --proxytunnel http://{HOST}:{own}/; echo
            ask http://{HOST}:{other}/; ask https://evil.example/; ask http://evil.example/
            ask http://169.254.169.254/latest/; ask https://1.1.1.1/; ask http://2852039166/
            getent hosts {HOST} || echo no host; getent hosts secret.evil.example || echo no name",
            own = own.port,
            other = other.port,
        ))
        .await;
    assert_eq!(said.matches("the job's own").count(), 2, "{said}");
    assert!(!said.contains("another"), "{said}");
    let plain = format!("{HOST}:{}: not allowed by AGENT_EGRESS", other.port);
    assert!(said.contains(&plain) && said.contains("AGENT_EGRESS_ALLOW"), "{said}");
    assert!(said.contains("no name") && !said.contains("no host"), "{said}");
    let ended = scene.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    for what in [
        &format!("HTTP {HOST}:{}", other.port),
        "CONNECT evil.example:443",
        "HTTP evil.example:80",
        "HTTP 169.254.169.254:80",
        "CONNECT 1.1.1.1:443",
        "DNS A secret.evil.example",
    ] {
        let line = format!("\negress: refused {what}: not allowed by AGENT_EGRESS");
        assert!(ended.said.contains(&line), "{what}: {}", ended.said);
    }
}

#[tokio::test]
async fn a_flood_of_refusals_is_a_few_lines_of_the_log() {
    let Some(scene) = Scene::new(&[("AGENT_EGRESS", "none")]).await else { return };
    let names = "for n in $(seq 400); do getent hosts $n.evil.example; done";
    scene
        .shell(&format!("{names}; for n in $(seq 50); do curl -s http://evil.example; done"))
        .await;
    let ended = scene.end();
    let lines = ended.said.matches("egress: refused").count();
    assert!((2..200).contains(&lines), "{lines}: {}", ended.said);
    assert!(ended.said.contains("more, not listed here"), "{}", ended.said);
}

#[tokio::test]
async fn learning_lets_through_and_lists_what_a_job_needed() {
    let server = Server::start("found").await;
    let document = [("AGENT_EGRESS", "allowlist"), ("AGENT_EGRESS_LEARN", "1")];
    let Some(scene) = Scene::new(&document).await else { return };
    let url = format!("http://{HOST}:{}/", server.port);
    let said = scene
        .shell(&format!(
            "curl -s {url}; curl -s -p {url}; curl -s -m 20 http://169.254.169.254/latest"
        ))
        .await;
    assert_eq!(said.matches("found").count(), 2, "{said}");
    assert!(said.contains("169.254.169.254 is not a public one"), "{said}");
    let ended = scene.end();
    let target = format!("{HOST}:{}", server.port);
    let learned = format!("\negress: learned {target}\n");
    assert_eq!(ended.said.matches(&learned).count(), 1, "{}", ended.said);
    assert!(
        ended.said.contains(&format!("\negress: this job needed {target}\n")),
        "{}",
        ended.said
    );
}

#[tokio::test]
async fn the_model_is_reached_through_the_gateway_with_the_placeholder_alone() {
    let script = Script { api_key: Some("sk-real".to_owned()), ..Script::default() };
    let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let model = ScriptedLlm::start(LlmOptions { listen, ..LlmOptions::new(script) }).await.unwrap();
    let url = format!("http://{HOST}:{}/v1", model.address().port());
    let document = [
        ("AGENT_EGRESS", "none"),
        ("WORKER_MODE", "opencode"),
        ("WORKER_LLM_URL", &url),
        ("WORKER_API_KEY", "sk-real"),
        ("MODEL_GATEWAY_KEY", "placeholder"),
    ];
    let Some(scene) = Scene::new(&document).await else { return };
    let gateway = format!("http://{}:8088/v1/chat/completions", scene.address());
    let ask = format!(
        "ask() {{ curl -s -w '%{{http_code}}' -H \"authorization: Bearer $1\" {gateway} --data \
         '{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}'; }}
         ask placeholder; echo; ask guessed"
    );
    let said = scene.shell(&ask).await;
    let codes: Vec<&str> = said.lines().map(|line| &line[line.len() - 3..]).collect();
    assert_eq!(codes, ["200", "401"], "{said}");
    let ended = scene.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(!ended.said.contains("sk-real"), "{}", ended.said);
    model.shutdown().await.unwrap();
}
