//! The HTTP side: reads a request, asks what to answer, and breaks the answer
//! where the scenario says so.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::Llm;
use super::NOTHING_ASKED;
use super::decide::decide;
use super::record::LlmRequest;
use super::script::{Scenario, Script};
use super::sequence;
use super::view::{Answer, Usage, View};
use super::wire::{Event, GeminiFraming, Reply, Target, Wire, openai_error};

/// The largest request that is read, in bytes.
const BODY_MAX: usize = 64 * 1024 * 1024;
/// How many events a dropped stream gets out.
const DROP_AFTER: usize = 2;

pub(super) fn router(llm: &Arc<Llm>) -> Router {
    let control = Router::new()
        .route("/script", get(show_script).post(change_script))
        .route("/requests", get(list_requests).delete(clear_requests));
    Router::new().nest("/_test", control).fallback(serve).with_state(Arc::clone(llm))
}

async fn show_script(State(llm): State<Arc<Llm>>) -> Json<Script> {
    Json(llm.script())
}

/// Changes the fields that are given and leaves the others.
async fn change_script(
    State(llm): State<Arc<Llm>>,
    changes: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Result<Json<Script>, (StatusCode, String)> {
    let Json(changes) = changes.map_err(|error| (StatusCode::BAD_REQUEST, error.body_text()))?;
    let refused = |error| (StatusCode::BAD_REQUEST, crate::server::chain(&error));
    llm.change_script(&changes).map(Json).map_err(refused)
}

async fn list_requests(State(llm): State<Arc<Llm>>) -> Json<Vec<LlmRequest>> {
    Json(llm.requests.all())
}

async fn clear_requests(State(llm): State<Arc<Llm>>) -> StatusCode {
    llm.requests.clear();
    StatusCode::NO_CONTENT
}

async fn serve(State(llm): State<Arc<Llm>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return error_reply(400, openai_error(400, "the request ended early or is too large"));
    };
    let mut record = LlmRequest {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: to_pairs(&head.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
        ..LlmRequest::default()
    };
    let script = llm.script();
    if head.method != Method::POST {
        let response = look(&head.method, &head.uri, &script);
        "look".clone_into(&mut record.answer);
        llm.requests.add(record);
        return response;
    }
    let target = Target::of(head.uri.path(), head.uri.query().unwrap_or_default());
    let value = serde_json::from_slice::<Value>(&body).ok().filter(Value::is_object);
    let target = target.filter(|target| script.speaks(target.wire().name()));
    let (Some(target), Some(value)) = (target, value) else {
        "not found".clone_into(&mut record.answer);
        llm.requests.add(record);
        return error_reply(404, openai_error(404, "no such path, or the body is not an object"));
    };
    let is_known = script.api_key.as_ref().is_none_or(|key| has_key(&head.headers, key));
    match target {
        Target::CountTokens(wire) => {
            record.wire = Some(wire.name());
            "count".clone_into(&mut record.answer);
            llm.requests.add(record);
            let count = script.input_tokens;
            Json(json!({"input_tokens": count, "totalTokens": count})).into_response()
        }
        Target::Generate(wire) if !is_known => {
            record.wire = Some(wire.name());
            "wrong key".clone_into(&mut record.answer);
            llm.requests.add(record);
            error_reply(401, wire.error(401, "the API key is not valid"))
        }
        Target::Generate(wire) => generate(&llm, &wire, &value, &script, record).await,
    }
}

/// What clients ask without a body: a model list, or whether anyone is there.
fn look(method: &Method, uri: &Uri, script: &Script) -> Response {
    let is_list = uri.path().ends_with("/models") || uri.path().contains("/models/");
    if method == Method::GET && is_list {
        let card = |name: &String| {
            json!({"id": name, "object": "model", "type": "model", "display_name": name,
                "owned_by": "script", "created": 0, "name": format!("models/{name}")})
        };
        let cards: Vec<Value> = script.models.iter().map(card).collect();
        let list = json!({"object": "list", "data": cards, "models": cards, "has_more": false});
        return Json(list).into_response();
    }
    match *method {
        Method::HEAD => StatusCode::OK.into_response(),
        _ => error_reply(404, openai_error(404, "no such path")),
    }
}

async fn generate(
    llm: &Llm,
    wire: &Wire,
    body: &Value,
    script: &Script,
    mut record: LlmRequest,
) -> Response {
    let view = wire.view(body);
    record.wire = Some(wire.name());
    record.model.clone_from(&view.model);
    record.tools = view.tools.iter().map(|tool| tool.name.clone()).collect();
    let is_empty = view.turns.is_empty();
    let number = if is_empty { 0 } else { llm.requests.next_generation() };
    let script = match script.for_request(&view.text(), number, view.results_since_prompt()) {
        Ok(script) => script,
        Err(error) => return error_reply(500, wire.error(500, &crate::server::chain(&error))),
    };
    if is_empty && !script.scenario.is_failure() {
        NOTHING_ASKED.clone_into(&mut record.answer);
        llm.requests.add(record);
        return error_reply(400, wire.error(400, "there is no conversation in the request"));
    }
    if let Some(said) = script.said(number) {
        said.name().clone_into(&mut record.answer);
        llm.requests.add(record);
        return sequence::respond(wire, &view, &script, said);
    }
    let answer = decide(&view, &script);
    record.answer = named(&script, &answer);
    llm.requests.add(record);

    let delay = tokio::time::sleep(Duration::from_millis(script.delay_ms));
    tokio::select! {
        () = llm.cancel.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        response = async {
            delay.await;
            respond(wire, &view, &script, &answer, &llm.cancel).await
        } => response,
    }
}

async fn respond(
    wire: &Wire,
    view: &View,
    script: &Script,
    answer: &Answer,
    cancel: &CancellationToken,
) -> Response {
    let usage = Usage {
        input: script.input_tokens,
        cached: script.cached_tokens,
        output: script.output_tokens,
    };
    match script.scenario {
        Scenario::Edit | Scenario::Noop | Scenario::Empty | Scenario::Ask => {
            deliver(wire, view, wire.reply(view, answer, usage))
        }
        Scenario::Status => {
            let message = format!("scripted error {}", script.status);
            let mut response = error_reply(script.status, wire.error(script.status, &message));
            if let Some(seconds) = script.retry_after {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
        Scenario::Hang => std::future::pending().await,
        Scenario::Stall => stall(view, &wire.reply(view, answer, usage), cancel.clone()),
        Scenario::Drop => cut(&wire.reply(view, answer, usage)),
        Scenario::Garbage => Json(json!({"this is": "not the protocol"})).into_response(),
        Scenario::GarbageStream => garbage_stream(),
    }
}

fn deliver(wire: &Wire, view: &View, reply: Reply) -> Response {
    match wire {
        Wire::Gemini { framing: GeminiFraming::Array, .. } => {
            let chunks: Vec<String> = reply.events.into_iter().map(Event::into_data).collect();
            let body = format!("[{}]", chunks.join(","));
            ([(CONTENT_TYPE, "application/json")], body).into_response()
        }
        _ if view.stream => event_stream(stream::iter(frames(&reply.events))),
        _ => Json(reply.body).into_response(),
    }
}

/// The stream's beginning; then the connection ends without its end mark.
fn cut(reply: &Reply) -> Response {
    let frames = frames(&reply.events[..reply.events.len().min(DROP_AFTER)]);
    // Without a pause the server would throw away what it has not yet sent.
    let broken = stream::once(async {
        tokio::task::yield_now().await;
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    event_stream(stream::iter(frames).chain(broken))
}

/// The answer's beginning, and no end of it. A client that wants no stream gets half a body.
fn stall(view: &View, reply: &Reply, cancel: CancellationToken) -> Response {
    let never = stream::once(async move {
        cancel.cancelled().await;
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    if view.stream {
        let frames = frames(&reply.events[..reply.events.len().min(DROP_AFTER)]);
        return event_stream(stream::iter(frames).chain(never));
    }
    let body = reply.body.to_string();
    let half: String = body.chars().take(body.chars().count() / 2).collect();
    let half = stream::iter([Ok::<_, io::Error>(half)]).chain(never);
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(half)).into_response()
}

fn garbage_stream() -> Response {
    let events =
        [Event::raw("{\"half\": "), Event::raw("\u{1b}]0;\u{7}no protocol"), Event::raw("{}")];
    event_stream(stream::iter(frames(&events)))
}

fn frames(events: &[Event]) -> Vec<io::Result<String>> {
    events.iter().map(|event| Ok(event.frame())).collect()
}

fn event_stream(frames: impl Stream<Item = io::Result<String>> + Send + 'static) -> Response {
    let headers = [(CONTENT_TYPE.as_str(), "text/event-stream"), ("cache-control", "no-cache")];
    (headers, Body::from_stream(frames)).into_response()
}

fn error_reply(status: u16, body: Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(body)).into_response()
}

fn has_key(headers: &HeaderMap, key: &str) -> bool {
    let is = |name: &str, wanted: &str| {
        headers.get(name).is_some_and(|value| value.as_bytes() == wanted.as_bytes())
    };
    is(AUTHORIZATION.as_str(), &format!("Bearer {key}"))
        || is("x-api-key", key)
        || is("x-goog-api-key", key)
}

fn to_pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&axum::http::HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(pair).collect()
}

fn named(script: &Script, answer: &Answer) -> String {
    match (script.scenario, answer) {
        (Scenario::Status, _) => format!("status {}", script.status),
        (Scenario::Hang, _) => "hang".to_owned(),
        (Scenario::Stall, _) => "stall".to_owned(),
        (Scenario::Drop, _) => "drop".to_owned(),
        (Scenario::Garbage | Scenario::GarbageStream, _) => "garbage".to_owned(),
        (Scenario::Empty, _) => "empty".to_owned(),
        (Scenario::Edit | Scenario::Noop | Scenario::Ask, Answer::Text(_)) => "text".to_owned(),
        (Scenario::Edit | Scenario::Noop | Scenario::Ask, Answer::Call { tool, .. }) => {
            format!("call {tool}")
        }
    }
}
