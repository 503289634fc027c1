//! The key: with the provider, and nowhere within the worker's reach.

use integration_tests::llm::Script;

use crate::scene::{KEY, Scene, installed, log};

/// Real CLIs, with the name of their program.
const CLIS: [(&str, &str); 2] = [("claude-code", "claude"), ("opencode", "opencode")];

#[tokio::test]
async fn the_worker_has_a_placeholder_and_the_provider_gets_the_key() {
    let scene = Scene::new(Script::default()).await;
    scene.claude(
        "env > $HERE/env; find $HOME -type f -exec cat {} + > $HERE/files
        tr '\\0' '\\n' < /proc/$$/cmdline > $HERE/arguments
        ask > $HERE/answer; echo hello > HELLO.md; done_well",
    );
    let (code, log) = log(&scene.run("claude-code", &[]).await);
    assert_eq!(code, Some(0), "{log}");
    assert!(scene.left("answer").contains("message_stop"), "{}", scene.left("answer"));
    for place in ["env", "files", "arguments", "answer"] {
        assert!(!scene.left(place).contains(KEY), "{place}");
    }
    let requests = scene.model.conversations();
    let key = ("x-api-key".to_owned(), KEY.to_owned());
    assert!(requests.iter().all(|request| request.headers.contains(&key)), "{requests:?}");
    assert_eq!(requests.len(), 1);
    assert!(log.contains("model call wire=\"anthropic\""), "{log}");
    assert!(log.contains("1 model calls: 1000 tokens in (200 cached), 50 out"), "{log}");
    assert!(!log.contains(KEY), "{log}");
    assert_eq!(scene.pulls(), 1);
    scene.end().await;
}

#[tokio::test]
async fn another_program_of_this_host_gets_nothing_from_the_gateway() {
    let scene = Scene::new(Script::default()).await;
    scene.claude("ANTHROPIC_API_KEY=guessed ask > $HERE/answer; echo hello > HELLO.md; done_well");
    let (code, log) = log(&scene.run("claude-code", &[]).await);
    assert_eq!(code, Some(0), "{log}");
    assert!(scene.left("answer").contains("authentication_error"), "{}", scene.left("answer"));
    assert_eq!(scene.model.conversations().len(), 0);
    scene.end().await;
}

#[tokio::test]
async fn real_clis_work_behind_the_gateway_and_the_costs_are_told() {
    for (mode, program) in CLIS {
        if !installed(program) {
            continue;
        }
        let scene = Scene::new(Script::edit("HELLO.md", "hello\n")).await;
        let prices = [("WORKER_PRICE_INPUT", "3"), ("WORKER_PRICE_OUTPUT", "15")];
        let (code, log) = log(&scene.run(mode, &prices).await);
        assert_eq!(code, Some(0), "{mode}: {log}");
        assert!(log.contains("2000 tokens in (400 cached), 100 out, 0.0075 USD"), "{mode}: {log}");
        assert_eq!(scene.pulls(), 1);
        scene.end().await;
    }
}
