//! The end of the budget: at the token, in every protocol.

use super::*;

/// What the request of [`ask`] is expected to be, in tokens.
const EXPECTED: u64 = 7;

/// How many deltas there are in what a caller saw.
fn deltas(seen: &str) -> usize {
    seen.matches("tok+").count()
}

#[tokio::test]
async fn a_stream_is_cut_at_the_token_and_the_provider_s_connection_with_it() {
    for (wire, path, header) in WIRES {
        let provider = Upstream::new().await;
        let gateway = gateway(provider.url(""), tokens(EXPECTED + 25)).await;
        let request = tokio::spawn(ask(&gateway, path, header).send());
        let mut exchange = provider.next().await;
        exchange.begin_events().await;
        let answer = request.await.unwrap().unwrap();
        // Each is one token; there would be more than are left.
        let events: Vec<String> =
            (0..40).map(|_| format!("data: {}\n\n", delta(wire, "tok+"))).collect();
        exchange.send(&events.concat()).await;
        let seen = rest(answer).await;
        assert_eq!(deltas(&seen), 25, "{wire:?}: {seen}");
        let last = seen.trim_end().rsplit("data: ").next().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        assert!(refusal::budget_refusal(&last).is_some(), "{wire:?}: {last}");
        assert!(gateway.exhausted().is_cancelled());
        exchange.left().await;
        let totals = gateway.shutdown().await;
        assert_eq!(totals.tokens.output, 25, "{wire:?}");
        let how = totals.exhausted.unwrap().to_string();
        assert!(
            how.contains(
                "WORKER_TOKEN_BUDGET allows 32 tokens; used: 7 tokens in (0 cached), 25 out"
            ),
            "{how}"
        );
    }
}

#[tokio::test]
async fn a_delta_that_does_not_fit_is_not_seen() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), tokens(EXPECTED + 5)).await;
    let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
    let mut exchange = provider.next().await;
    exchange.begin_events().await;
    exchange.event(&delta(Wire::Anthropic, "tok+")).await;
    exchange.event(&delta(Wire::Anthropic, "tok+ and four more and one")).await;
    let seen = rest(request.await.unwrap().unwrap()).await;
    assert_eq!(deltas(&seen), 1, "{seen}");
    exchange.left().await;
}

#[tokio::test]
async fn what_the_provider_says_replaces_the_estimate() {
    for (wire, path, header) in WIRES {
        let provider = Upstream::new().await;
        let gateway = gateway(provider.url(""), tokens(1000)).await;
        let request = tokio::spawn(ask(&gateway, path, header).send());
        let mut exchange = provider.next().await;
        exchange.begin_events().await;
        for _ in 0..10 {
            exchange.event(&delta(wire, "tok+")).await;
        }
        exchange.event(&usage(wire, 300, 4)).await;
        drop(exchange);
        assert_eq!(deltas(&rest(request.await.unwrap().unwrap()).await), 10);
        let totals = gateway.shutdown().await;
        assert_eq!((totals.tokens.input, totals.tokens.output), (300, 4), "{wire:?}");
        assert_eq!(totals.exhausted, None);
    }
}

#[tokio::test]
async fn no_call_follows_the_end_and_the_refusal_asks_for_no_other_try() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), tokens(EXPECTED)).await;
    for (wire, path, header) in WIRES {
        let answer = ask(&gateway, path, header).send().await.unwrap();
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["x-should-retry"], "false");
        let body: Value = answer.json().await.unwrap();
        assert!(refusal::budget_refusal(&body).is_some(), "{wire:?}: {body}");
    }
    let totals = gateway.shutdown().await;
    assert_eq!((totals.calls, totals.tokens.input), (0, 0));
}

#[tokio::test]
async fn an_answer_in_one_piece_that_costs_too_much_is_not_passed_on() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), tokens(1000)).await;
    for (output, status) in [(10, 200), (2000, 429)] {
        let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
        let body =
            json!({"type": "message", "usage": {"input_tokens": 9, "output_tokens": output}});
        provider.next().await.answer(200, &body.to_string()).await;
        assert_eq!(request.await.unwrap().unwrap().status(), status);
    }
    assert_eq!(gateway.shutdown().await.tokens.output, 2010);
}

#[tokio::test]
async fn the_end_that_one_call_finds_ends_the_others() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), tokens(EXPECTED * 3 + 1)).await;
    let ask = || tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
    let (streamed, waiting) = (ask(), ask());
    let (mut first, second) = (provider.next().await, provider.next().await);
    first.begin_events().await;
    let spender = ask();
    let mut third = provider.next().await;
    third.begin_events().await;
    third.event(&delta(Wire::Anthropic, "tok+")).await;
    let seen = rest(spender.await.unwrap().unwrap()).await;
    assert_eq!(deltas(&seen), 1);
    // Which of the two is which depends on who came first.
    let mut refused = 0;
    for other in [streamed, waiting] {
        let other = soon(other).await.unwrap().unwrap();
        refused += usize::from(other.status() == 429);
        assert!(rest(other).await.contains("used up"));
    }
    assert_eq!(refused, 1);
    second.left().await;
    first.left().await;
}

#[tokio::test]
async fn what_the_provider_refuses_costs_nothing() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), tokens(EXPECTED + 2)).await;
    for _ in 0..3 {
        let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
        provider.next().await.answer(529, r#"{"type":"error"}"#).await;
        assert_eq!(request.await.unwrap().unwrap().status(), 529);
    }
    let totals = gateway.shutdown().await;
    assert_eq!((totals.calls, totals.tokens.input), (3, 0));
}

#[tokio::test]
async fn a_gateway_understands_the_end_that_another_one_says() {
    for (wire, path, header) in WIRES {
        let provider = Upstream::new().await;
        let far = gateway(provider.url(""), tokens(EXPECTED + 3 + 12)).await;
        let near = gateway_of(ModelGatewayConfig {
            upstream: far.base_url(),
            key: Secret::from(PLACEHOLDER),
            fallback: None,
            models: None,
            placeholder: Secret::from("another-placeholder"),
            budget: Budget::default(),
            network: Default::default(),
        })
        .await;
        let request = ask_with(&near, path, header, "another-placeholder");
        let request = tokio::spawn(request.send());
        let mut exchange = provider.next().await;
        exchange.begin_events().await;
        let events: Vec<String> =
            (0..40).map(|_| format!("data: {}\n\n", delta(wire, "tok+"))).collect();
        exchange.send(&events.concat()).await;
        let seen = rest(request.await.unwrap().unwrap()).await;
        soon(near.exhausted().cancelled()).await;
        assert!((3..=15).contains(&deltas(&seen)), "{wire:?}: {seen}");
        let how = near.shutdown().await.exhausted.unwrap().to_string();
        assert!(how.contains("WORKER_TOKEN_BUDGET allows"), "{wire:?}: {how}");
        far.shutdown().await;
    }
}
