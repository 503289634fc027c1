//! What goes to the provider, and what comes back.

use tokio::time::{Instant, timeout};

use super::*;

#[tokio::test]
async fn the_real_key_goes_where_the_placeholder_was_and_nowhere_else() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url("/v1"), Budget::default()).await;
    for (_, path, header) in WIRES {
        let request = ask(&gateway, path, header).header("x-session-id", "7").send();
        let asked = async {
            let exchange = provider.next().await;
            let head = exchange.head.clone();
            let line = format!("post {} http/1.1", path.to_ascii_lowercase());
            assert_eq!(head.lines().next(), Some(line.as_str()));
            let bearer = if header == "authorization" { "bearer " } else { "" };
            assert_eq!(exchange.header(header), Some(format!("{bearer}{KEY}").as_str()));
            assert_eq!(head.matches(KEY).count(), 1, "{head}");
            assert!(!head.contains(PLACEHOLDER), "{head}");
            assert_eq!(exchange.header("x-session-id"), Some("7"));
            let host = provider.url("").authority().to_owned();
            assert_eq!(exchange.header("host"), Some(host.as_str()));
            assert_eq!(exchange.header("accept-encoding"), Some("identity"));
            exchange.answer(200, "{}").await;
        };
        let (answer, ()) = tokio::join!(request, asked);
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert_eq!(gateway.shutdown().await.calls, 4);
}

#[tokio::test]
async fn a_key_in_the_query_goes_into_a_header() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    let path = format!("/v1beta/models/m:generateContent?key={PLACEHOLDER}&x=a%20b");
    let request = ask_with(&gateway, &path, "x-other", "1").send();
    let asked = async {
        let exchange = provider.next().await;
        let line = exchange.head.lines().next().unwrap();
        assert_eq!(line, "post /v1beta/models/m:generatecontent?x=a+b http/1.1");
        assert_eq!(exchange.header("x-goog-api-key"), Some(KEY));
        exchange.answer(200, "{}").await;
    };
    let (answer, ()) = tokio::join!(request, asked);
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn headers_of_the_connection_are_not_passed_on_in_either_direction() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    let request = ask(&gateway, "/v1/messages", "x-api-key")
        .header("connection", "x-private")
        .header("x-private", "1")
        .header("proxy-authorization", "Basic x")
        .header("te", "trailers")
        .send();
    let asked = async {
        let mut exchange = provider.next().await;
        for name in ["x-private", "proxy-authorization", "te"] {
            assert_eq!(exchange.header(name), None, "{name}");
        }
        let more = "content-type: application/json\r\nkeep-alive: 9\r\nrequest-id: 5\r\n\
            x-echo: it was sk-the-real-key-of-the-provider";
        exchange.begin(200, more).await;
        exchange.send("{}").await;
    };
    let (answer, ()) = tokio::join!(request, asked);
    let answer = answer.unwrap();
    assert_eq!(answer.headers()["request-id"], "5");
    for name in ["keep-alive", "x-echo"] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_long_limit_that_was_passed_on_shuts_the_caller_out_until_it_asks_again() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    let mut shut_out = gateway.shut_outs(Duration::from_secs(300));
    let refused = async || {
        let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
        let mut exchange = provider.next().await;
        exchange.begin(429, "retry-after: 5400\r\ncontent-length: 2").await;
        exchange.send("{}").await;
        let answer = request.await.unwrap().unwrap();
        assert_eq!((answer.status().as_u16(), rest(answer).await), (429, "{}".to_owned()));
    };
    refused().await;
    let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
    let exchange = provider.next().await;
    tokio::time::pause();
    let limit = Duration::from_secs(100);
    let given_up = timeout(limit, shut_out.without_a_sign_since(Instant::now())).await;
    assert!(given_up.is_err(), "{given_up:?}: a call is under way");
    tokio::time::resume();
    exchange.answer(200, "{}").await;
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
    refused().await;
    tokio::time::pause();
    let left = shut_out.without_a_sign_since(Instant::now()).await.as_secs();
    assert!((5_300..=5_340).contains(&left), "{left} s");
}

#[tokio::test]
async fn without_the_placeholder_nothing_is_passed_on() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    for (wire, path, header) in WIRES {
        for key in ["", "agent-placeholde", "agent-placeholder2", KEY] {
            let answer = ask_with(&gateway, path, header, key).send().await.unwrap();
            assert_eq!(answer.status(), 401, "{wire:?} {key:?}");
            let body: Value = answer.json().await.unwrap();
            let words = body["error"]["message"].as_str().unwrap();
            assert!(words.contains("not the key"), "{body}");
        }
    }
    assert_eq!(gateway.shutdown().await.calls, 0);
}

#[tokio::test]
async fn what_is_no_request_to_a_model_is_refused_by_name() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    let answer = ask(&gateway, "/v1/files", "authorization").send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let body: Value = answer.json().await.unwrap();
    let words = "POST /v1/files is not passed on: this is no request to a model";
    assert_eq!(body["error"]["message"], words);
    let answer = ask(&gateway, "/v1/messages", "x-api-key").body("[]").send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json::<Value>().await.unwrap()["type"], "error");
}

#[tokio::test]
async fn an_event_is_passed_on_before_the_next_one_comes() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    for (wire, path, header) in WIRES {
        let request = tokio::spawn(ask(&gateway, path, header).send());
        let mut exchange = provider.next().await;
        exchange.begin_events().await;
        let mut answer = request.await.unwrap().unwrap();
        for text in ["one", "two"] {
            let event = delta(wire, text);
            exchange.event(&event).await;
            let piece = soon(answer.chunk()).await.unwrap().unwrap();
            assert_eq!(piece, format!("data: {event}\n\n"));
        }
        drop(exchange);
        assert_eq!(rest(answer).await, "");
    }
}

#[tokio::test]
async fn an_array_is_passed_on_element_by_element() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    let path = "/v1beta/models/m:streamGenerateContent";
    let request = tokio::spawn(ask(&gateway, path, "x-goog-api-key").send());
    let mut exchange = provider.next().await;
    exchange.begin(200, "content-type: application/json; charset=UTF-8").await;
    exchange.send(&format!("[{}", delta(Wire::Gemini, "one"))).await;
    let mut answer = request.await.unwrap().unwrap();
    assert!(soon(answer.chunk()).await.unwrap().unwrap().ends_with(b"}"));
    exchange.send(&format!(",\n{}]", usage(Wire::Gemini, 7, 3))).await;
    drop(exchange);
    assert!(rest(answer).await.ends_with(']'));
    let tokens = gateway.shutdown().await.tokens;
    assert_eq!((tokens.input, tokens.output), (7, 3));
}

#[tokio::test]
async fn the_key_is_in_nothing_that_comes_back() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    let request = tokio::spawn(ask(&gateway, "/v1/chat/completions", "authorization").send());
    let words = json!({"error": {"message": format!("Incorrect API key provided: {KEY}")}});
    provider.next().await.answer(401, &words.to_string()).await;
    let answer = request.await.unwrap().unwrap();
    assert_eq!(answer.status(), 401);
    let body = rest(answer).await;
    assert!(body.contains("provided: [redacted]"), "{body}");

    let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
    let mut exchange = provider.next().await;
    exchange.begin_events().await;
    exchange.event(&delta(Wire::Anthropic, &format!("it is {KEY}."))).await;
    drop(exchange);
    let body = rest(request.await.unwrap().unwrap()).await;
    assert!(body.contains("it is [redacted].") && !body.contains(KEY), "{body}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_breaks_off() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
    let mut exchange = provider.next().await;
    exchange.send("HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\n").await;
    exchange.send("content-length: 1000\r\n\r\ndata: {}\n\n").await;
    let mut answer = request.await.unwrap().unwrap();
    assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), "data: {}\n\n");
    drop(exchange);
    assert!(soon(answer.chunk()).await.is_err());
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_provider_s_work() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
    let mut exchange = provider.next().await;
    exchange.begin_events().await;
    drop(request.await.unwrap().unwrap());
    exchange.left().await;
    let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
    let exchange = provider.next().await;
    request.abort();
    exchange.left().await;
}

#[tokio::test]
async fn the_end_of_the_gateway_is_the_end_of_its_calls() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
    let exchange = provider.next().await;
    assert_eq!(soon(gateway.shutdown()).await.calls, 1);
    assert!(request.await.unwrap().is_err());
    exchange.left().await;
}

#[tokio::test]
async fn a_provider_that_is_silent_is_not_waited_for_for_ever() {
    let provider = Upstream::new().await;
    let config = ModelGatewayConfig {
        upstream: provider.url(""),
        key: Secret::from(KEY),
        fallback: None,
        models: None,
        placeholder: Secret::from(PLACEHOLDER),
        budget: Budget::default(),
        network: Default::default(),
    };
    let soon = Duration::from_millis(50);
    let silence = Silence { before: soon, within: soon };
    let gate = Gate { silence, ..Gate::new(config).unwrap() };
    let address = "127.0.0.1:0".parse().unwrap();
    let gateway = ModelGateway::serve(address, gate, CancellationToken::new()).await.unwrap();
    let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
    let mut exchange = provider.next().await;
    assert_eq!(request.await.unwrap().unwrap().status(), 504);
    drop(exchange);
    let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
    exchange = provider.next().await;
    exchange.begin_events().await;
    let body = rest(request.await.unwrap().unwrap()).await;
    assert!(body.starts_with("event: error\n") && body.contains("was silent"), "{body}");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_said_to_be_so() {
    let gateway = gateway("http://127.0.0.1:1".parse().unwrap(), tokens(1000)).await;
    let answer = ask(&gateway, "/v1/messages", "x-api-key").send().await.unwrap();
    assert_eq!(answer.status(), 502);
    assert!(rest(answer).await.contains("cannot be reached"));
    assert_eq!(gateway.shutdown().await.tokens, super::super::budget::Tokens::default());
}

#[tokio::test]
async fn a_compressed_answer_is_refused_because_it_cannot_be_counted() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    let request = tokio::spawn(ask(&gateway, "/v1/messages", "x-api-key").send());
    let mut exchange = provider.next().await;
    exchange.begin(200, "content-encoding: gzip").await;
    assert_eq!(request.await.unwrap().unwrap().status(), 502);
}

#[tokio::test]
async fn usage_is_asked_for_and_kept_from_who_did_not_ask() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url(""), Budget::default()).await;
    let path = "/v1/chat/completions";
    for (body, sees) in [
        (json!({"stream": true, "model": "m"}), false),
        (json!({"stream": true, "stream_options": {"include_usage": true}}), true),
    ] {
        let request = ask(&gateway, path, "authorization").body(body.to_string());
        let request = tokio::spawn(request.send());
        let mut exchange = provider.next().await;
        let asked: Value = serde_json::from_str(&exchange.body).unwrap();
        assert_eq!(asked["stream_options"]["include_usage"], true, "{asked}");
        exchange.begin_events().await;
        exchange.event(&delta(Wire::Chat, "text")).await;
        exchange.event(&usage(Wire::Chat, 5, 6)).await;
        exchange.send("data: [DONE]\n\n").await;
        drop(exchange);
        let seen = rest(request.await.unwrap().unwrap()).await;
        assert!(seen.contains("text") && seen.ends_with("data: [DONE]\n\n"), "{seen}");
        assert_eq!(seen.contains("usage"), sees, "{seen}");
    }
    assert_eq!(gateway.shutdown().await.tokens.output, 12);
}

#[tokio::test]
async fn a_model_that_is_not_listed_is_refused_by_its_name() {
    let provider = Upstream::new().await;
    let gateway = gateway_of(ModelGatewayConfig {
        upstream: provider.url("/v1"),
        key: Secret::from(KEY),
        fallback: None,
        models: Some(vec!["small".to_owned()]),
        placeholder: Secret::from(PLACEHOLDER),
        budget: Budget::default(),
        network: Default::default(),
    })
    .await;
    let twice = r#"{"model":"small","model":"dear"}"#;
    let later = r#"{"model":"small","background":true}"#;
    for (path, body, status) in [
        ("/v1/chat/completions", r#"{"model":"dear"}"#, 403),
        ("/v1/chat/completions", "{}", 403),
        ("/v1beta/models/dear:generateContent", "{}", 403),
        ("/v1/chat/completions", twice, 400),
        ("/v1/responses", later, 400),
    ] {
        let answer = ask(&gateway, path, "authorization").body(body).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path} {body}");
    }
    let request = ask(&gateway, "/v1/chat/completions", "authorization");
    let request = request.body(r#"{"model":"small"}"#).send();
    let asked = async { provider.next().await.answer(200, "{}").await };
    let (answer, ()) = tokio::join!(request, asked);
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(gateway.shutdown().await.calls, 1);
}

#[tokio::test]
async fn a_list_of_models_is_had_where_only_some_may_be_asked() {
    let provider = Upstream::new().await;
    let gateway = gateway_of(ModelGatewayConfig {
        upstream: provider.url("/v1"),
        key: Secret::from(KEY),
        fallback: None,
        models: Some(vec!["small".to_owned()]),
        placeholder: Secret::from(PLACEHOLDER),
        budget: Budget::default(),
        network: Default::default(),
    })
    .await;
    let client = api_client::http::http_client("test").no_proxy().build().unwrap();
    let url = format!("http://{}/v1/models", gateway.address());
    let list = client.get(url).bearer_auth(PLACEHOLDER).send();
    let asked = async { provider.next().await.answer(200, "{}").await };
    let (answer, ()) = tokio::join!(list, asked);
    assert_eq!(answer.unwrap().status(), 200);
    drop(gateway.shutdown().await);
}

#[tokio::test]
async fn a_call_that_is_left_counts_what_it_allowed() {
    let provider = Upstream::new().await;
    let gateway = gateway(provider.url("/v1"), Budget::default()).await;
    let body = r#"{"model":"m","max_tokens":77}"#;
    let request = ask(&gateway, "/v1/chat/completions", "authorization").body(body).send();
    let caller = tokio::spawn(request);
    let exchange = provider.next().await;
    caller.abort();
    exchange.left().await;
    assert_eq!(gateway.shutdown().await.tokens.output, 77);
}
