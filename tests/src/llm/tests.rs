//! The scripted model as clients see it, over each wire, streaming and not.

mod client;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::*;
use client::{CLIENTS, Client};

struct Fixture {
    llm: ScriptedLlm,
    http: reqwest::Client,
}

impl Fixture {
    async fn new(script: Script) -> Self {
        let llm = ScriptedLlm::start(LlmOptions::new(script)).await.unwrap();
        let http = api_client::http::http_client("llm-tests").build().unwrap();
        Self { llm, http }
    }

    fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.llm.url())).json(body)
    }

    async fn whole(&self, client: Client, answered: bool) -> (StatusCode, Value) {
        let request = self.post(client.path(false), &client.body(false, answered));
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// Event names and data of a streamed answer.
    async fn events(&self, client: Client, answered: bool) -> (Vec<String>, Vec<Value>) {
        let request = self.post(client.path(true), &client.body(true, answered));
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let text = response.text().await.unwrap();
        let after = |mark: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let data = after("data: ").into_iter().filter(|data| data != "[DONE]");
        (after("event: "), data.map(|data| serde_json::from_str(&data).unwrap()).collect())
    }
}

#[tokio::test]
async fn every_wire_calls_the_tool_and_then_says_the_text_whole_and_streamed() {
    let fx = Fixture::new(Script::edit("a.txt", "content that is longer than one piece\n")).await;
    let expected = json!({"file_path": "/repo/a.txt",
        "content": "content that is longer than one piece\n"});
    let text = Script::default().text;
    for client in CLIENTS {
        let (status, answer) = fx.whole(client, false).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(client.call(&answer), expected, "{client:?}");
        assert_eq!(client.usage(&answer), (1000, 200, 50), "{client:?}");
        let (_, answer) = fx.whole(client, true).await;
        assert_eq!(client.text(&answer), &text, "{client:?}");

        let (_, events) = fx.events(client, false).await;
        let arguments = client.streamed(&events);
        assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap(), expected, "{client:?}");
        let (_, events) = fx.events(client, true).await;
        assert_eq!(client.streamed(&events), text, "{client:?}");
    }
    let answers: Vec<_> = fx.llm.requests().into_iter().map(|r| r.answer).collect();
    assert_eq!(answers[..4], ["call write_file", "text", "call write_file", "text"]);
    fx.llm.shutdown().await.unwrap();
}

#[tokio::test]
async fn streams_have_the_events_that_clients_wait_for() {
    let fx = Fixture::new(Script::default()).await;
    let (_, chat) = fx.events(Client::Chat, false).await;
    assert_eq!(chat[chat.len() - 2]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(chat[chat.len() - 1]["usage"]["total_tokens"], 1050);

    let (names, events) = fx.events(Client::Responses, true).await;
    assert_eq!(
        names[..3],
        ["response.created", "response.in_progress", "response.output_item.added"]
    );
    assert_eq!(names.last().unwrap(), "response.completed");
    assert_eq!(events.last().unwrap()["response"]["usage"]["total_tokens"], 1050);
    let item = &events[2]["item"];
    assert_eq!(events.last().unwrap()["response"]["output"][0]["id"], item["id"]);

    let (names, events) = fx.events(Client::Anthropic, false).await;
    let ends = ["content_block_stop", "message_delta", "message_stop"];
    assert_eq!(names[..2], ["message_start", "content_block_start"]);
    assert_eq!(names[names.len() - 3..], ends);
    assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "tool_use");

    let (_, events) = fx.events(Client::Gemini, true).await;
    assert_eq!(events.last().unwrap()["candidates"][0]["finishReason"], "STOP");
    fx.llm.shutdown().await.unwrap();
}

#[tokio::test]
async fn errors_have_the_shape_of_their_wire_and_end_after_fail_first() {
    let failing = Script {
        scenario: Scenario::Status,
        status: 429,
        retry_after: Some(7),
        fail_first: Some(1),
        ..Script::default()
    };
    let fx = Fixture::new(failing).await;
    for client in CLIENTS {
        fx.llm.reset();
        let request = fx.post(client.path(false), &client.body(false, false));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "7");
        let error: Value = response.json().await.unwrap();
        let kind = match client {
            Client::Chat | Client::Responses | Client::Anthropic => &error["error"]["type"],
            Client::Gemini => &error["error"]["status"],
        };
        let expected =
            if client == Client::Gemini { "RESOURCE_EXHAUSTED" } else { "rate_limit_error" };
        assert_eq!(kind, expected);
        assert_eq!(fx.whole(client, false).await.0, StatusCode::OK, "the second one works");
    }
    fx.llm.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_dropped_stream_begins_and_breaks_and_a_hanging_one_ends_at_shutdown() {
    let fx = Fixture::new(Script { scenario: Scenario::Drop, ..Script::default() }).await;
    for client in CLIENTS {
        let request = fx.post(client.path(true), &client.body(true, true));
        let mut response = request.send().await.unwrap();
        let first = response.chunk().await.unwrap().expect("a first fragment");
        assert!(first.starts_with(b"data: ") || first.starts_with(b"event: "), "{client:?}");
        let broken = loop {
            match response.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(broken, "{client:?}: the stream ended as if it were whole");
    }
    fx.llm.set_script(Script { scenario: Scenario::Hang, ..Script::default() }).unwrap();
    fx.llm.reset();
    let hanging = fx.post(Client::Chat.path(false), &Client::Chat.body(false, false)).send();
    let hanging = tokio::spawn(hanging);
    while fx.llm.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    fx.llm.shutdown().await.unwrap();
    assert_eq!(hanging.await.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn garbage_and_empty_answers_are_what_they_say() {
    let fx = Fixture::new(Script { scenario: Scenario::Garbage, ..Script::default() }).await;
    let (status, answer) = fx.whole(Client::Chat, false).await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer.get("choices").is_none());
    fx.llm.set_script(Script { scenario: Scenario::Empty, ..Script::default() }).unwrap();
    for client in CLIENTS {
        let (_, answer) = fx.whole(client, false).await;
        assert_eq!(client.text(&answer), "", "{client:?}");
    }
    fx.llm.shutdown().await.unwrap();
}

#[tokio::test]
async fn clients_may_look_around_and_count_before_they_ask() {
    let fx = Fixture::new(Script::default()).await;
    let base = fx.llm.url();
    assert_eq!(fx.http.head(base.clone()).send().await.unwrap().status(), StatusCode::OK);
    let models = fx.http.get(format!("{base}v1/models")).send().await.unwrap();
    let models: Value = models.json().await.unwrap();
    assert_eq!(models["data"][0]["id"], "scripted-model");
    let count = fx.post("v1/messages/count_tokens", &json!({"messages": []}));
    let count: Value = count.send().await.unwrap().json().await.unwrap();
    assert_eq!(count["input_tokens"], 1000);
    let other = fx.post("v1/embeddings", &json!({})).send().await.unwrap();
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
    fx.llm.shutdown().await.unwrap();
}

#[tokio::test]
async fn requests_are_kept_whole_and_the_script_changes_at_run_time() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("requests.jsonl");
    let options = LlmOptions { log: Some(log.clone()), ..LlmOptions::new(Script::default()) };
    let llm = ScriptedLlm::start(options).await.unwrap();
    let http = api_client::http::http_client("llm-tests").build().unwrap();
    let fx = Fixture { llm, http };

    let control = |path: &str| format!("{}_test/{path}", fx.llm.url());
    let change = fx.http.post(control("script")).json(&json!({"api_key": "sk-1", "file": "b"}));
    let script: Script = change.send().await.unwrap().json().await.unwrap();
    assert_eq!((script.file.as_str(), script.turns), ("b", Some(1)));
    let wrong = fx.http.post(control("script")).json(&json!({"fil": "b"})).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    assert!(wrong.text().await.unwrap().contains("`fil`"));

    assert_eq!(fx.whole(Client::Chat, false).await.0, StatusCode::UNAUTHORIZED);
    let request = fx.post("x/y/v1/responses", &Client::Responses.body(false, false));
    let answer: Value = request.bearer_auth("sk-1").send().await.unwrap().json().await.unwrap();
    assert_eq!(Client::Responses.call(&answer)["file_path"], "/repo/b");

    let kept = fx.http.get(control("requests")).send().await.unwrap().text().await.unwrap();
    assert!(kept.contains("sk-1") && kept.contains("<cwd>/repo</cwd>"), "{kept}");
    let lines = std::fs::read_to_string(log).unwrap();
    assert_eq!(lines.lines().count(), 2);
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((&last["wire"], &last["answer"]), (&json!("responses"), &json!("call write_file")));
    fx.llm.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_request_without_a_conversation_is_refused_in_the_form_of_its_wire() {
    let fx = Fixture::new(Script::default()).await;
    for client in CLIENTS {
        let url = fx.llm.url().join(client.path(false)).unwrap();
        let answer = fx.http.post(url).json(&json!({"model": "m"})).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{client:?}");
        let error: Value = answer.json().await.unwrap();
        assert!(error["error"]["message"].is_string(), "{client:?}: {error}");
    }
    assert_eq!(fx.llm.requests().len(), 4);
    assert!(fx.llm.conversations().is_empty());
    fx.llm.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_wire_that_is_not_spoken_has_no_path() {
    let script = Script { wires: vec!["chat".to_owned()], ..Script::default() };
    let fx = Fixture::new(script).await;
    for (client, status) in CLIENTS.into_iter().zip([200, 404, 404, 404]) {
        let url = fx.llm.url().join(client.path(false)).unwrap();
        let request = fx.http.post(url).json(&client.body(false, false));
        assert_eq!(request.send().await.unwrap().status(), status, "{client:?}");
    }
    fx.llm.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_sequence_is_answered_in_its_order_and_its_last_for_ever() {
    let sequence = vec![
        Said::Limited(7),
        Said::Page,
        Said::CutOff("half".to_owned()),
        Said::Null,
        Said::Text("whole".to_owned()),
    ];
    let fx = Fixture::new(Script { sequence, ..Script::default() }).await;
    let client = CLIENTS[0];
    let ask = || fx.post(client.path(false), &client.body(false, false)).send();
    let limited = ask().await.unwrap();
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    let page = ask().await.unwrap();
    assert_eq!(page.status(), StatusCode::BAD_GATEWAY);
    assert!(page.text().await.unwrap().starts_with("<html>"));
    let cut: Value = ask().await.unwrap().json().await.unwrap();
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    let null: Value = ask().await.unwrap().json().await.unwrap();
    assert_eq!(null["choices"][0]["message"]["content"], Value::Null);
    for _ in 0..2 {
        let (_, answer) = fx.whole(client, false).await;
        assert_eq!(client.text(&answer), "whole");
    }
}
