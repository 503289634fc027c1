//! OpenAI chat completions.

use serde_json::{Value, json};

use super::view::{Answer, Tool, Turn, Usage, View, flatten, items, string};
use super::wire::{Event, Reply, Stamp, pieces};

pub(super) fn view(body: &Value) -> View {
    let tools = items(body, "tools").iter().map(tool).collect();
    let (mut system, mut turns) = (Vec::new(), Vec::new());
    for message in items(body, "messages") {
        let text = flatten(message.get("content"));
        match string(message, "role") {
            "system" | "developer" => system.push(text),
            "tool" => turns.push(Turn::new("tool", text, 1)),
            role => turns.push(Turn::new(role, text, 0)),
        }
    }
    View {
        model: string(body, "model").to_owned(),
        stream: body["stream"] == true,
        tools,
        system: system.join("\n"),
        turns,
    }
}

pub(super) fn reply(view: &View, answer: &Answer, usage: Usage, stamp: &Stamp) -> Reply {
    let (message, deltas, finish) = match answer {
        Answer::Text(text) => text_message(text),
        Answer::Call { tool, input } => tool_message(tool, &input.to_text(), stamp),
    };
    let usage = json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": 0},
    });
    let part = |object: &str, choices: Value, usage: &Value| {
        json!({"id": stamp.id("chatcmpl-"), "object": object, "created": stamp.seconds,
            "model": view.model, "choices": choices, "usage": usage})
    };
    let chunk = |delta: Value, finish: Option<&str>| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        Event::data(&part("chat.completion.chunk", choices, &Value::Null))
    };
    let mut events: Vec<Event> = deltas.into_iter().map(|delta| chunk(delta, None)).collect();
    events.push(chunk(json!({}), Some(finish)));
    events.push(Event::data(&part("chat.completion.chunk", json!([]), &usage)));
    events.push(Event::raw("[DONE]"));
    let choices = json!([{"index": 0, "message": message, "finish_reason": finish}]);
    Reply { body: part("chat.completion", choices, &usage), events }
}

fn tool(tool: &Value) -> Tool {
    let kind = string(tool, "type");
    let spec = &tool[if kind == "custom" { "custom" } else { "function" }];
    Tool::new(string(spec, "name"), kind, spec.get("parameters"))
}

type Parts = (Value, Vec<Value>, &'static str);

fn text_message(text: &str) -> Parts {
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    deltas.extend(pieces(text).into_iter().map(|piece| json!({"content": piece})));
    (json!({"role": "assistant", "content": text}), deltas, "stop")
}

fn tool_message(tool: &str, arguments: &str, stamp: &Stamp) -> Parts {
    let call = |arguments: &str| {
        json!({"id": stamp.id("call_"), "type": "function",
            "function": {"name": tool, "arguments": arguments}})
    };
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call(arguments)]});
    let mut opening = call("");
    opening["index"] = json!(0);
    let mut deltas = vec![json!({"role": "assistant", "content": null, "tool_calls": [opening]})];
    deltas.extend(
        pieces(arguments)
            .into_iter()
            .map(|piece| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})),
    );
    (message, deltas, "tool_calls")
}
