//! Answers to nothing, of providers that speak the protocol and of those that do not.

use proptest::prelude::*;

use super::super::testing::{KEY, Upstream, WIRES, gateway, gateway_of};
use super::super::{Budget, Fallback, ModelGatewayConfig, Totals};
use super::*;

const ALL: [Wire; 4] = [Wire::Chat, Wire::Responses, Wire::Anthropic, Wire::Gemini];

fn judged(wire: Wire, status: u16, text: &str) -> Result<(), Unfit> {
    let status = StatusCode::from_u16(status).unwrap();
    let answer = Answer { status, kind: "application/json".to_owned(), text: text.to_owned() };
    judge(wire, Some("m"), &answer)
}

#[tokio::test]
async fn the_question_has_the_real_key_and_no_conversation_and_is_not_in_the_account() {
    for (wire, path, header) in WIRES {
        let upstream = Upstream::new().await;
        let gateway = gateway(upstream.url("/v1"), Budget::default()).await;
        let asked = async {
            let exchange = upstream.next().await;
            assert!(exchange.header(header).is_some_and(|value| value.ends_with(KEY)));
            assert!(!exchange.body.contains("messages") && exchange.body.len() < 100);
            let path = path.split(['?', ':']).next().unwrap().to_ascii_lowercase();
            assert!(exchange.head.starts_with(&format!("post {path}")), "{}", exchange.head);
            exchange.answer(400, r#"{"error":{"message":"something is missing"}}"#).await;
        };
        let (checked, ()) = tokio::join!(gateway.check(wire, Some("m")), asked);
        assert_eq!(checked, Ok(()));
        assert_eq!(gateway.shutdown().await, Totals::default());
    }
}

#[test]
fn an_endpoint_without_the_path_does_not_speak_the_protocol() {
    for wire in ALL {
        for (status, text) in [
            (404, r#"{"detail":"Not Found"}"#),
            (
                404,
                r#"{"error":{"message":"Invalid URL (POST /v1/x)","type":"invalid_request_error"}}"#,
            ),
            (404, "<html>model not found</html>"),
            (405, ""),
            (501, ""),
            (302, ""),
            (200, "<!doctype html>"),
            (200, r#"{"this is":"not the protocol"}"#),
        ] {
            let judged = judged(wire, status, text);
            assert!(matches!(judged, Err(Unfit::Protocol(_))), "{wire:?} {status} {text}");
        }
    }
}

#[test]
fn who_says_that_something_is_missing_speaks_it() {
    for (wire, status, text) in [
        (Wire::Chat, 400, r#"{"error":{"message":"Missing required parameter: 'messages'."}}"#),
        (Wire::Chat, 422, r#"{"detail":[{"loc":["body","messages"],"msg":"field required"}]}"#),
        (Wire::Anthropic, 400, r#"{"type":"error","error":{"message":"max_tokens: required"}}"#),
        (Wire::Gemini, 400, r#"{"error":{"code":400,"status":"INVALID_ARGUMENT"}}"#),
        (Wire::Chat, 200, r#"{"choices":[]}"#),
        (Wire::Responses, 200, r#"{"output":[]}"#),
    ] {
        assert_eq!(judged(wire, status, text), Ok(()), "{text}");
    }
}

#[test]
fn a_refused_key_and_an_unknown_model_are_told_apart() {
    for wire in ALL {
        for status in [401, 403] {
            assert!(matches!(judged(wire, status, "{}"), Err(Unfit::Key(_))));
        }
    }
    let openai = r#"{"error":{"message":"The model `m` does not exist","code":"model_not_found"}}"#;
    let anthropic = r#"{"type":"error","error":{"type":"not_found_error","message":"model: m"}}"#;
    let gemini = r#"{"error":{"code":404,"message":"models/m is not found","status":"NOT_FOUND"}}"#;
    for (wire, text) in
        [(Wire::Responses, openai), (Wire::Anthropic, anthropic), (Wire::Gemini, gemini)]
    {
        assert!(matches!(judged(wire, 404, text), Err(Unfit::Model(_))), "{text}");
        let answer =
            Answer { status: StatusCode::NOT_FOUND, kind: String::new(), text: text.into() };
        assert_eq!(judge(wire, None, &answer), Ok(()), "no model was asked for");
    }
}

#[test]
fn an_endpoint_that_is_busy_or_broken_for_now_is_left_to_the_cli() {
    for wire in ALL {
        for status in [408, 409, 425, 429, 500, 502, 503, 529] {
            assert_eq!(judged(wire, status, "busy"), Ok(()), "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_cannot_be_reached_is_told_after_some_tries() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let alone = gateway(nobody.parse().unwrap(), Budget::default()).await;
    assert!(matches!(alone.check(Wire::Chat, None).await, Err(Unfit::Unreachable(_))));
    let other = Fallback { url: nobody.parse().unwrap(), key: KEY.into(), model: None };
    let config = ModelGatewayConfig {
        upstream: nobody.parse().unwrap(),
        key: KEY.into(),
        fallback: Some(other),
        placeholder: "p".into(),
        models: None,
        budget: Budget::default(),
        network: Default::default(),
    };
    let with_fallback = gateway_of(config).await;
    assert_eq!(with_fallback.check(Wire::Chat, None).await, Ok(()));
}

#[tokio::test]
async fn what_is_told_does_not_repeat_the_key() {
    let upstream = Upstream::new().await;
    let gateway = gateway(upstream.url(""), Budget::default()).await;
    let asked = async {
        upstream.next().await.answer(401, &format!(r#"{{"error":"no such key: {KEY}"}}"#)).await;
    };
    let (checked, ()) = tokio::join!(gateway.check(Wire::Chat, None), asked);
    let Err(Unfit::Key(why)) = checked else { panic!("{checked:?}") };
    assert!(why.contains("no such key") && !why.contains(KEY), "{why}");
}

proptest! {
    #[test]
    fn no_answer_is_too_strange(status in 200u16..600, text in ".{0,400}", at in 0usize..4) {
        let _any = judged(ALL[at], status, &text);
    }
}
