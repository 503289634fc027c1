//! The budget: a call is stopped in mid-stream, at the token, and the job with it.

use integration_tests::llm::{Scenario, Script};

use crate::scene::{Scene, installed, log};

/// What the model says it read, which is its first word.
const INPUT: u64 = 1000;

/// A streamed piece of the scripted model is 24 characters, which count as 6 tokens.
const TOKENS_PER_DELTA: u64 = 6;

/// A model that would write a hundred pieces, 600 tokens.
fn talkative() -> Script {
    Script {
        scenario: Scenario::Noop,
        noop_text: "x".repeat(2400),
        input_tokens: INPUT,
        output_tokens: 600,
        ..Script::default()
    }
}

#[tokio::test]
async fn the_budget_stops_a_model_call_in_mid_stream_at_the_token() {
    let scene = Scene::new(talkative()).await;
    // It would go on, and must not live to.
    scene.claude(
        "ask > $HERE/answer; echo hello > HELLO.md; sleep 1000; ask > $HERE/second; done_well",
    );
    for deltas in [1, 37, 99] {
        let limit = (INPUT + deltas * TOKENS_PER_DELTA).to_string();
        let (code, log) = log(&scene.run("claude-code", &[("WORKER_TOKEN_BUDGET", &limit)]).await);
        assert_eq!(code, Some(6), "{log}");
        let seen = scene.left("answer");
        let count = seen.matches("event: content_block_delta").count();
        assert_eq!(u64::try_from(count).unwrap(), deltas, "{seen}");
        assert!(seen.contains("event: error") && !seen.contains("message_stop"), "{seen}");
        let output = deltas * TOKENS_PER_DELTA;
        let figures = format!(
            "WORKER_TOKEN_BUDGET allows {limit} tokens; used: 1000 tokens in (200 cached), \
             {output} out"
        );
        assert!(log.contains(&figures) && log.contains("budget_exhausted"), "{log}");
    }
    // One token less than the last delta needs, and it is not seen.
    let limit = (INPUT + 2 * TOKENS_PER_DELTA - 1).to_string();
    let (code, log) = log(&scene.run("claude-code", &[("WORKER_TOKEN_BUDGET", &limit)]).await);
    assert_eq!(code, Some(6), "{log}");
    assert_eq!(scene.left("answer").matches("event: content_block_delta").count(), 1);

    assert_eq!(scene.left("second"), "");
    assert_eq!(scene.model.conversations().len(), 4);
    // What each of the four runs had is saved, and nothing else is published.
    assert_eq!((scene.branches(), scene.pulls()), (1 + 4, 0));
    scene.end().await;
}

#[tokio::test]
async fn money_is_a_limit_like_tokens() {
    let scene = Scene::new(talkative()).await;
    scene.claude("ask > $HERE/answer; echo hello > HELLO.md; sleep 1000");
    // 1000 tokens in at 2 USD a million and 60 out at 100.
    let settings = [
        ("WORKER_MONEY_BUDGET", "0.008"),
        ("WORKER_PRICE_INPUT", "2"),
        ("WORKER_PRICE_OUTPUT", "100"),
    ];
    let (code, log) = log(&scene.run("claude-code", &settings).await);
    assert_eq!(code, Some(6), "{log}");
    assert_eq!(scene.left("answer").matches("event: content_block_delta").count(), 10);
    assert!(log.contains("WORKER_MONEY_BUDGET allows 0.0080 USD"), "{log}");
    scene.end().await;
}

#[tokio::test]
async fn a_budget_that_is_enough_changes_nothing() {
    let scene = Scene::new(talkative()).await;
    scene.claude("ask > $HERE/answer; echo hello > HELLO.md; done_well");
    let (code, log) = log(&scene.run("claude-code", &[("WORKER_TOKEN_BUDGET", "1601")]).await);
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(scene.left("answer").matches("event: content_block_delta").count(), 100);
    scene.end().await;
}

#[tokio::test]
async fn a_real_cli_that_spends_too_much_is_ended() {
    for (mode, program) in [("claude-code", "claude"), ("opencode", "opencode")] {
        if !installed(program) {
            continue;
        }
        // A model that never comes to an end.
        let scene = Scene::new(Script { turns: None, ..Script::default() }).await;
        let (code, log) = log(&scene.run(mode, &[("WORKER_TOKEN_BUDGET", "30000")]).await);
        assert_eq!(code, Some(6), "{mode}: {log}");
        assert!(log.contains("WORKER_TOKEN_BUDGET allows 30000 tokens"), "{mode}: {log}");
        assert!(scene.model.conversations().len() > 2, "{mode}: {log}");
        assert_eq!((scene.branches(), scene.pulls()), (1, 0));
        scene.end().await;
    }
}

#[tokio::test]
async fn a_money_budget_without_prices_is_a_wrong_setting() {
    let scene = Scene::new(Script::default()).await;
    let (code, log) = log(&scene.run("claude-code", &[("WORKER_MONEY_BUDGET", "1")]).await);
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("WORKER_PRICE_INPUT is not set"), "{log}");
    scene.end().await;
}
