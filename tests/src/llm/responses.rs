//! OpenAI Responses.

use serde_json::{Value, json};

use super::view::{Answer, Tool, ToolInput, Turn, Usage, View, flatten, items, string};
use super::wire::{Event, Reply, Stamp, pieces};

pub(super) fn view(body: &Value) -> View {
    let mut tools = Vec::new();
    for tool in items(body, "tools") {
        // A namespace, such as a tool server's, nests its tools.
        match tool["tools"].as_array() {
            Some(nested) => tools.extend(nested.iter().map(to_tool)),
            None => tools.push(to_tool(tool)),
        }
    }
    let (mut system, mut turns) = (vec![string(body, "instructions").to_owned()], Vec::new());
    if let Some(text) = body["input"].as_str() {
        turns.push(Turn::new("user", text.to_owned(), 0));
    }
    for item in items(body, "input") {
        let kind = item["type"].as_str().unwrap_or("message");
        if kind.ends_with("_output") {
            turns.push(Turn::new("tool", flatten(item.get("output")), 1));
        } else if kind == "message" {
            let text = flatten(item.get("content"));
            match string(item, "role") {
                "system" | "developer" => system.push(text),
                role => turns.push(Turn::new(role, text, 0)),
            }
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
    let usage = json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input + usage.output,
    });
    let response = |status: &str, output: Value, usage: &Value| {
        json!({"id": stamp.id("resp_"), "object": "response", "created_at": stamp.seconds,
            "model": view.model, "status": status, "output": output, "usage": usage,
            "error": null, "incomplete_details": null})
    };
    let item = to_item(answer, stamp);
    let started = response("in_progress", json!([]), &Value::Null);
    let finished = response("completed", json!([item]), &usage);

    let mut steps = vec![
        ("response.created", json!({"response": started})),
        ("response.in_progress", json!({"response": started})),
    ];
    steps.extend(item_steps(answer, &item));
    steps.push(("response.completed", json!({"response": finished})));

    let event = |(number, (name, mut data)): (usize, (&'static str, Value))| {
        data["type"] = json!(name);
        data["sequence_number"] = json!(number);
        Event::named(name, &data)
    };
    Reply { body: finished, events: steps.into_iter().enumerate().map(event).collect() }
}

fn to_tool(tool: &Value) -> Tool {
    let kind = string(tool, "type");
    let name = tool["name"].as_str().unwrap_or(kind);
    Tool::new(name, kind, tool.get("parameters"))
}

fn to_item(answer: &Answer, stamp: &Stamp) -> Value {
    match answer {
        Answer::Text(text) => json!({
            "type": "message", "id": stamp.id("msg_"), "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }),
        Answer::Call { tool, input: ToolInput::Freeform(text) } => json!({
            "type": "custom_tool_call", "id": stamp.id("ctc_"), "call_id": stamp.id("call_"),
            "name": tool, "input": text, "status": "completed",
        }),
        Answer::Call { tool, input: ToolInput::Json(arguments) } => json!({
            "type": "function_call", "id": stamp.id("fc_"), "call_id": stamp.id("call_"),
            "name": tool, "arguments": arguments.to_string(), "status": "completed",
        }),
    }
}

/// The output item growing, from added to done.
fn item_steps(answer: &Answer, item: &Value) -> Vec<(&'static str, Value)> {
    let mut added = item.clone();
    added["status"] = json!("in_progress");
    if added.get("content").is_some() {
        added["content"] = json!([]);
    }
    let place = |mut data: Value| {
        data["item_id"] = item["id"].clone();
        data["output_index"] = json!(0);
        data
    };
    let mut steps = vec![("response.output_item.added", json!({"output_index": 0, "item": added}))];
    match answer {
        Answer::Text(text) => {
            let part = |mut data: Value| {
                data["content_index"] = json!(0);
                place(data)
            };
            let empty = json!({"type": "output_text", "text": "", "annotations": []});
            steps.push(("response.content_part.added", part(json!({"part": empty}))));
            for piece in pieces(text) {
                steps.push(("response.output_text.delta", part(json!({"delta": piece}))));
            }
            steps.push(("response.output_text.done", part(json!({"text": text}))));
            let whole = &item["content"][0];
            steps.push(("response.content_part.done", part(json!({"part": whole}))));
        }
        Answer::Call { input: ToolInput::Json(arguments), .. } => {
            let text = arguments.to_string();
            for piece in pieces(&text) {
                let delta = place(json!({"delta": piece}));
                steps.push(("response.function_call_arguments.delta", delta));
            }
            let done = place(json!({"arguments": text}));
            steps.push(("response.function_call_arguments.done", done));
        }
        Answer::Call { input: ToolInput::Freeform(_), .. } => {}
    }
    steps.push(("response.output_item.done", json!({"output_index": 0, "item": item})));
    steps
}
