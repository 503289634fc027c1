//! The scripted model's words in each protocol: in one piece or as server-sent events.

use serde_json::{Value, json};

use super::request::{Asked, Request, Wire};
use super::script::Answer;

/// What is said of tokens: read and written.
const TOKENS: (u64, u64) = (100, 10);

/// The name that a model goes by where the request does not matter.
const MODEL: &str = "doctor";

/// A reply as it goes over the wire.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Reply {
    /// A whole JSON text.
    pub(super) fn json(value: &Value) -> Self {
        Self { content_type: "application/json", body: value.to_string() }
    }

    fn events(events: &[(Option<&str>, Value)]) -> Self {
        let frame = |(name, data): &(Option<&str>, Value)| {
            let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
            format!("{name}data: {data}\n\n")
        };
        let body = events.iter().map(frame).collect();
        Self { content_type: "text/event-stream", body }
    }
}

/// The reply to a request with this answer.
pub(super) fn reply(request: &Request<'_>, answer: &Answer) -> Reply {
    match (request.wire, request.asked) {
        (Wire::Gemini, Asked::Count) => Reply::json(&json!({"totalTokens": TOKENS.0})),
        (_, Asked::Count) => Reply::json(&json!({"input_tokens": TOKENS.0})),
        (Wire::Chat, Asked::Whole) => Reply::json(&chat(answer)),
        (Wire::Chat, Asked::Events) => chat_events(answer),
        (Wire::Responses, Asked::Whole) => Reply::json(&response("completed", &[item(answer)])),
        (Wire::Responses, Asked::Events) => response_events(answer),
        (Wire::Anthropic, Asked::Whole) => Reply::json(&message(&[block(answer)], stop(answer))),
        (Wire::Anthropic, Asked::Events) => message_events(answer),
        (Wire::Gemini, Asked::Whole) => Reply::json(&content(answer)),
        (Wire::Gemini, Asked::Events) => Reply::events(&[(None, content(answer))]),
    }
}

fn chat_message(answer: &Answer) -> (Value, &'static str) {
    match answer {
        Answer::Text(text) => (json!({"role": "assistant", "content": text}), "stop"),
        Answer::Call { tool, arguments } => {
            let call = json!({"index": 0, "id": "call_doctor", "type": "function",
                "function": {"name": tool, "arguments": arguments.to_string()}});
            let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
            (message, "tool_calls")
        }
    }
}

fn chat_part(object: &str, choices: &Value, usage: &Value) -> Value {
    json!({"id": "chatcmpl-doctor", "object": object, "created": 0, "model": MODEL,
        "choices": choices, "usage": usage})
}

fn chat_usage() -> Value {
    let (input, output) = TOKENS;
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

fn chat(answer: &Answer) -> Value {
    let (message, finish) = chat_message(answer);
    let choices = json!([{"index": 0, "message": message, "finish_reason": finish}]);
    chat_part("chat.completion", &choices, &chat_usage())
}

fn chat_events(answer: &Answer) -> Reply {
    let (delta, finish) = chat_message(answer);
    let chunk =
        |choices: Value, usage: &Value| (None, chat_part("chat.completion.chunk", &choices, usage));
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let mut reply = Reply::events(&[
        chunk(choice(delta, Value::Null), &Value::Null),
        chunk(choice(json!({}), json!(finish)), &Value::Null),
        chunk(json!([]), &chat_usage()),
    ]);
    reply.body.push_str("data: [DONE]\n\n");
    reply
}

fn item(answer: &Answer) -> Value {
    match answer {
        Answer::Text(text) => json!({"type": "message", "id": "msg_doctor", "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}),
        Answer::Call { tool, arguments: Value::String(text) } => {
            json!({"type": "custom_tool_call", "id": "ctc_doctor", "call_id": "call_doctor",
                "name": tool, "input": text, "status": "completed"})
        }
        Answer::Call { tool, arguments } => {
            json!({"type": "function_call", "id": "fc_doctor", "call_id": "call_doctor",
                "name": tool, "arguments": arguments.to_string(), "status": "completed"})
        }
    }
}

fn response(status: &str, output: &[Value]) -> Value {
    let (input, written) = TOKENS;
    json!({"id": "resp_doctor", "object": "response", "created_at": 0, "model": MODEL,
        "status": status, "output": output, "error": null, "incomplete_details": null,
        "usage": {"input_tokens": input, "output_tokens": written, "total_tokens": input + written,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0}}})
}

fn response_events(answer: &Answer) -> Reply {
    let item = item(answer);
    let step = |name, mut data: Value| {
        data["type"] = json!(name);
        (Some(name), data)
    };
    Reply::events(&[
        step("response.created", json!({"response": response("in_progress", &[])})),
        step("response.output_item.added", json!({"output_index": 0, "item": item})),
        step("response.output_item.done", json!({"output_index": 0, "item": item})),
        step(
            "response.completed",
            json!({"response": response("completed", std::slice::from_ref(&item))}),
        ),
    ])
}

fn block(answer: &Answer) -> Value {
    match answer {
        Answer::Text(text) => json!({"type": "text", "text": text}),
        Answer::Call { tool, arguments } => {
            json!({"type": "tool_use", "id": "toolu_doctor", "name": tool, "input": arguments})
        }
    }
}

const fn stop(answer: &Answer) -> &'static str {
    match answer {
        Answer::Text(_) => "end_turn",
        Answer::Call { .. } => "tool_use",
    }
}

fn message(content: &[Value], stop: &str) -> Value {
    let (input, output) = TOKENS;
    json!({"id": "msg_doctor", "type": "message", "role": "assistant", "model": MODEL,
        "content": content, "stop_reason": stop, "stop_sequence": null,
        "usage": {"input_tokens": input, "output_tokens": output}})
}

fn message_events(answer: &Answer) -> Reply {
    let (opening, delta) = match answer {
        Answer::Text(text) => {
            (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": text}))
        }
        Answer::Call { arguments, .. } => {
            let mut opening = block(answer);
            opening["input"] = json!({});
            let arguments = arguments.to_string();
            (opening, json!({"type": "input_json_delta", "partial_json": arguments}))
        }
    };
    let step = |name, mut data: Value| {
        data["type"] = json!(name);
        (Some(name), data)
    };
    let mut begun = message(&[], "");
    begun["stop_reason"] = Value::Null;
    Reply::events(&[
        step("message_start", json!({"message": begun})),
        step("content_block_start", json!({"index": 0, "content_block": opening})),
        step("content_block_delta", json!({"index": 0, "delta": delta})),
        step("content_block_stop", json!({"index": 0})),
        step(
            "message_delta",
            json!({"delta": {"stop_reason": stop(answer), "stop_sequence": null},
                "usage": {"output_tokens": TOKENS.1}}),
        ),
        step("message_stop", json!({})),
    ])
}

fn content(answer: &Answer) -> Value {
    let (input, output) = TOKENS;
    let part = match answer {
        Answer::Text(text) => json!({"text": text}),
        Answer::Call { tool, arguments } => {
            json!({"functionCall": {"name": tool, "args": arguments}})
        }
    };
    json!({"candidates": [{"index": 0, "finishReason": "STOP",
            "content": {"role": "model", "parts": [part]}}],
        "usageMetadata": {"promptTokenCount": input, "candidatesTokenCount": output,
            "totalTokenCount": input + output},
        "modelVersion": MODEL, "responseId": "doctor"})
}
