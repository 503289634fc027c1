//! Anthropic Messages.

use serde_json::{Value, json};

use super::view::{Answer, Tool, ToolInput, Turn, Usage, View, flatten, items, string};
use super::wire::{Event, Reply, Stamp, pieces};

pub(super) fn view(body: &Value) -> View {
    let tool = |tool: &Value| {
        Tool::new(string(tool, "name"), string(tool, "type"), tool.get("input_schema"))
    };
    let turn = |message: &Value| {
        let is_result = |block: &&Value| string(block, "type") == "tool_result";
        let results = items(message, "content").iter().filter(is_result).count();
        Turn::new(string(message, "role"), flatten(message.get("content")), results as u64)
    };
    View {
        model: string(body, "model").to_owned(),
        stream: body["stream"] == true,
        tools: items(body, "tools").iter().map(tool).collect(),
        system: flatten(body.get("system")),
        turns: items(body, "messages").iter().map(turn).collect(),
    }
}

pub(super) fn reply(view: &View, answer: &Answer, usage: Usage, stamp: &Stamp) -> Reply {
    let usage = json!({
        "input_tokens": usage.input.saturating_sub(usage.cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    });
    let (block, opening, deltas, stop) = match answer {
        Answer::Text(text) => text_block(text),
        Answer::Call { tool, input } => tool_block(tool, input, stamp),
    };
    let message = |content: Value, stop: Option<&str>, usage: &Value| {
        json!({"id": stamp.id("msg_"), "type": "message", "role": "assistant",
            "model": view.model, "content": content, "stop_reason": stop,
            "stop_sequence": null, "usage": usage})
    };
    let mut early = usage.clone();
    early["output_tokens"] = json!(1);

    let mut steps = vec![
        ("message_start", json!({"message": message(json!([]), None, &early)})),
        ("content_block_start", json!({"index": 0, "content_block": opening})),
    ];
    steps.extend(
        deltas.into_iter().map(|d| ("content_block_delta", json!({"index": 0, "delta": d}))),
    );
    let end = json!({"delta": {"stop_reason": stop, "stop_sequence": null}, "usage": usage});
    steps.push(("content_block_stop", json!({"index": 0})));
    steps.push(("message_delta", end));
    steps.push(("message_stop", json!({})));

    let event = |(name, mut data): (&'static str, Value)| {
        data["type"] = json!(name);
        Event::named(name, &data)
    };
    Reply {
        body: message(json!([block]), Some(stop), &usage),
        events: steps.into_iter().map(event).collect(),
    }
}

type Parts = (Value, Value, Vec<Value>, &'static str);

fn text_block(text: &str) -> Parts {
    let delta = |piece: String| json!({"type": "text_delta", "text": piece});
    (
        json!({"type": "text", "text": text}),
        json!({"type": "text", "text": ""}),
        pieces(text).into_iter().map(delta).collect(),
        "end_turn",
    )
}

fn tool_block(tool: &str, input: &ToolInput, stamp: &Stamp) -> Parts {
    let block = |input: Value| json!({"type": "tool_use", "id": stamp.id("toolu_"), "name": tool, "input": input});
    let whole = match input {
        ToolInput::Json(value) => value.clone(),
        ToolInput::Freeform(text) => json!({"input": text}),
    };
    let delta = |piece: String| json!({"type": "input_json_delta", "partial_json": piece});
    let deltas = pieces(&whole.to_string()).into_iter().map(delta).collect();
    (block(whole), block(json!({})), deltas, "tool_use")
}
