//! Gemini's generateContent.

use serde_json::{Value, json};

use super::view::{Answer, Tool, ToolInput, Turn, Usage, View, flatten, items, string};
use super::wire::{Event, Reply, Stamp, pieces};

/// Model and streaming are in the path, not in the body.
pub(super) fn view(body: &Value, model: &str, stream: bool) -> View {
    let tool = |f: &Value| {
        let schema = f.get("parametersJsonSchema").or_else(|| f.get("parameters"));
        Tool::new(string(f, "name"), "function", schema)
    };
    let turn = |content: &Value| {
        let parts = items(content, "parts");
        let results = parts.iter().filter(|part| part.get("functionResponse").is_some()).count();
        let role = content["role"].as_str().unwrap_or("user");
        Turn::new(role, flatten(content.get("parts")), results as u64)
    };
    View {
        model: model.to_owned(),
        stream,
        tools: items(body, "tools")
            .iter()
            .flat_map(|tools| items(tools, "functionDeclarations"))
            .map(tool)
            .collect(),
        system: flatten(body.get("systemInstruction")),
        turns: items(body, "contents").iter().map(turn).collect(),
    }
}

pub(super) fn reply(view: &View, answer: &Answer, usage: Usage, stamp: &Stamp) -> Reply {
    let usage = json!({
        "promptTokenCount": usage.input,
        "candidatesTokenCount": usage.output,
        "cachedContentTokenCount": usage.cached,
        "totalTokenCount": usage.input + usage.output,
    });
    let wrap = |parts: Value, is_last: bool| {
        let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
        if is_last {
            candidate["finishReason"] = json!("STOP");
        }
        json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": view.model,
            "responseId": stamp.id("r")})
    };
    let (whole, chunks) = match answer {
        Answer::Text(text) => {
            let chunks = pieces(text).into_iter().map(|piece| json!([{"text": piece}])).collect();
            (json!([{"text": text}]), chunks)
        }
        Answer::Call { tool, input } => {
            let args = match input {
                ToolInput::Json(value) => value.clone(),
                ToolInput::Freeform(text) => json!({"input": text}),
            };
            let call = json!([{"functionCall": {"name": tool, "args": args}}]);
            (call.clone(), vec![call])
        }
    };
    let last = chunks.len() - 1;
    let event = |(n, parts): (usize, Value)| Event::data(&wrap(parts, n == last));
    Reply { body: wrap(whole, true), events: chunks.into_iter().enumerate().map(event).collect() }
}
