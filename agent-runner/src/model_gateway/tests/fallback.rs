//! The provider that stands in while the job's own gives no answer.

use super::*;

const OTHER_KEY: &str = "sk-of-the-other-provider";

async fn gateway_between(main: &Upstream, other: &Upstream, budget: Budget) -> ModelGateway {
    let fallback = Fallback {
        url: other.url("/api/v4"),
        key: Secret::from(OTHER_KEY),
        model: Some("other-model".to_owned()),
    };
    gateway_of(ModelGatewayConfig {
        upstream: main.url("/v1"),
        key: Secret::from(KEY),
        fallback: Some(fallback),
        models: None,
        placeholder: Secret::from(PLACEHOLDER),
        budget,
        network: Default::default(),
    })
    .await
}

#[tokio::test]
async fn what_a_provider_cannot_answer_the_other_one_is_asked_with_its_own_key_and_model() {
    let (main, other) = (Upstream::new().await, Upstream::new().await);
    let gateway = gateway_between(&main, &other, tokens(100)).await;
    for status in [408, 429, 500, 529] {
        let request = ask(&gateway, "/v1/chat/completions", "authorization").send();
        let asked = async {
            let first = main.next().await;
            let body = first.body.clone();
            first.answer(status, "{}").await;
            let exchange = other.next().await;
            assert_eq!(
                exchange.head.lines().next(),
                Some("post /api/v4/chat/completions http/1.1")
            );
            assert_eq!(exchange.header("authorization"), Some(&*format!("bearer {OTHER_KEY}")));
            assert!(!exchange.head.contains(KEY), "{}", exchange.head);
            assert_eq!(exchange.body, body.replace(r#""m""#, r#""other-model""#));
            exchange.answer(200, &usage(Wire::Chat, 5, 6).to_string()).await;
        };
        let (answer, ()) = tokio::join!(request, asked);
        assert_eq!(answer.unwrap().status(), 200);
    }
    let totals = gateway.shutdown().await;
    assert_eq!((totals.calls, totals.tokens.input, totals.tokens.output), (4, 20, 24));
}

#[tokio::test]
async fn a_provider_that_is_away_is_stood_in_for() {
    let (gone, other) = (Upstream::new().await, Upstream::new().await);
    let gateway = gateway_between(&gone, &other, Budget::default()).await;
    drop(gone);
    let path = "/v1beta/models/m:streamGenerateContent?alt=sse";
    let request = ask(&gateway, path, "x-goog-api-key").send();
    let asked = async {
        let exchange = other.next().await;
        let line = "post /api/v4/models/other-model:streamgeneratecontent?alt=sse http/1.1";
        assert_eq!(exchange.head.lines().next(), Some(line));
        exchange.answer(200, "{}").await;
    };
    let (answer, ()) = tokio::join!(request, asked);
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn what_a_provider_refuses_is_its_answer() {
    let (main, other) = (Upstream::new().await, Upstream::new().await);
    let gateway = gateway_between(&main, &other, Budget::default()).await;
    for status in [400, 401, 403, 404] {
        let request = ask(&gateway, "/v1/chat/completions", "authorization").send();
        let asked = async { main.next().await.answer(status, "{}").await };
        let (answer, ()) = tokio::join!(request, asked);
        assert_eq!(answer.unwrap().status(), status);
    }
}

#[tokio::test]
async fn the_other_providers_key_is_not_sent_back_either() {
    let (main, other) = (Upstream::new().await, Upstream::new().await);
    let gateway = gateway_between(&main, &other, Budget::default()).await;
    let request = ask(&gateway, "/v1/messages", "x-api-key").send();
    let asked = async {
        main.next().await.answer(503, "{}").await;
        let echo = json!({"error": format!("no such key: {OTHER_KEY}")}).to_string();
        other.next().await.answer(401, &echo).await;
    };
    let (answer, ()) = tokio::join!(request, asked);
    let text = answer.unwrap().text().await.unwrap();
    assert!(text.contains("no such key") && !text.contains(OTHER_KEY), "{text}");
}
