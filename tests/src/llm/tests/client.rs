//! What a client of each wire sends and how it reads the answer.

use serde_json::{Value, json};

pub(super) const TOOL_NAME: &str = "write_file";

/// One wire, as a client of it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Chat,
    Responses,
    Anthropic,
    Gemini,
}

pub(super) const CLIENTS: [Client; 4] =
    [Client::Chat, Client::Responses, Client::Anthropic, Client::Gemini];

impl Client {
    pub(super) fn path(self, stream: bool) -> &'static str {
        match (self, stream) {
            (Self::Chat, _) => "v1/chat/completions",
            (Self::Responses, _) => "v1/responses",
            (Self::Anthropic, _) => "v1/messages?beta=true",
            (Self::Gemini, false) => "v1beta/models/m:generateContent",
            (Self::Gemini, true) => "v1beta/models/m:streamGenerateContent?alt=sse",
        }
    }

    /// A prompt with the write tool, and with the tool's result if `answered`.
    pub(super) fn body(self, stream: bool, answered: bool) -> Value {
        let schema = json!({"type": "object", "required": ["file_path", "content"],
            "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}}});
        let prompt = "<cwd>/repo</cwd> please";
        let mut body = match self {
            Self::Chat => json!({"model": "m", "stream": stream,
                "messages": [{"role": "user", "content": prompt}],
                "tools": [{"type": "function",
                    "function": {"name": TOOL_NAME, "parameters": schema}}]}),
            Self::Responses => json!({"model": "m", "stream": stream,
                "input": [{"type": "message", "role": "user",
                    "content": [{"type": "input_text", "text": prompt}]}],
                "tools": [{"type": "function", "name": TOOL_NAME, "parameters": schema}]}),
            Self::Anthropic => json!({"model": "m", "stream": stream, "max_tokens": 10,
                "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
                "tools": [{"name": TOOL_NAME, "input_schema": schema}]}),
            Self::Gemini => json!({
                "contents": [{"role": "user", "parts": [{"text": prompt}]}],
                "tools": [{"functionDeclarations":
                    [{"name": TOOL_NAME, "parametersJsonSchema": schema}]}]}),
        };
        let (list, result) = match self {
            Self::Chat => ("messages", json!({"role": "tool", "content": "ok"})),
            Self::Responses => ("input", json!({"type": "function_call_output", "output": "ok"})),
            Self::Anthropic => (
                "messages",
                json!({"role": "user",
                "content": [{"type": "tool_result", "content": "ok"}]}),
            ),
            Self::Gemini => (
                "contents",
                json!({"role": "user",
                "parts": [{"functionResponse": {"name": TOOL_NAME}}]}),
            ),
        };
        if answered {
            body[list].as_array_mut().unwrap().push(result);
        }
        body
    }

    /// The tool arguments in a whole answer.
    pub(super) fn call(self, answer: &Value) -> Value {
        let text = |value: &Value| serde_json::from_str(value.as_str().unwrap()).unwrap();
        match self {
            Self::Chat => {
                assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
                text(&answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
            }
            Self::Responses => text(&answer["output"][0]["arguments"]),
            Self::Anthropic => {
                assert_eq!(answer["stop_reason"], "tool_use");
                answer["content"][0]["input"].clone()
            }
            Self::Gemini => {
                answer["candidates"][0]["content"]["parts"][0]["functionCall"]["args"].clone()
            }
        }
    }

    /// The text in a whole answer.
    pub(super) fn text(self, answer: &Value) -> &Value {
        match self {
            Self::Chat => &answer["choices"][0]["message"]["content"],
            Self::Responses => &answer["output"][0]["content"][0]["text"],
            Self::Anthropic => &answer["content"][0]["text"],
            Self::Gemini => &answer["candidates"][0]["content"]["parts"][0]["text"],
        }
    }

    /// The fragments of text or arguments in a stream, joined.
    pub(super) fn streamed(self, events: &[Value]) -> String {
        let fragment = |event: &Value| match self {
            Self::Chat => {
                let delta = &event["choices"][0]["delta"];
                let call = &delta["tool_calls"][0]["function"]["arguments"];
                delta["content"].as_str().or(call.as_str()).map(str::to_owned)
            }
            Self::Responses => event["delta"].as_str().map(str::to_owned),
            Self::Anthropic => {
                let delta = &event["delta"];
                delta["text"].as_str().or(delta["partial_json"].as_str()).map(str::to_owned)
            }
            Self::Gemini => {
                let part = &event["candidates"][0]["content"]["parts"][0];
                let call = &part["functionCall"]["args"];
                part["text"].as_str().map(str::to_owned).or(Some(call.to_string()))
            }
        };
        events.iter().filter_map(fragment).collect()
    }

    /// Prompt, cached and completion tokens of a whole answer.
    pub(super) fn usage(self, answer: &Value) -> (u64, u64, u64) {
        let n = |value: &Value| value.as_u64().unwrap();
        let u = &answer["usage"];
        match self {
            Self::Chat => (
                n(&u["prompt_tokens"]),
                n(&u["prompt_tokens_details"]["cached_tokens"]),
                n(&u["completion_tokens"]),
            ),
            Self::Responses => (
                n(&u["input_tokens"]),
                n(&u["input_tokens_details"]["cached_tokens"]),
                n(&u["output_tokens"]),
            ),
            Self::Anthropic => {
                let cached = n(&u["cache_read_input_tokens"]);
                (n(&u["input_tokens"]) + cached, cached, n(&u["output_tokens"]))
            }
            Self::Gemini => {
                let u = &answer["usageMetadata"];
                let count = |key| n(&u[key]);
                let cached = count("cachedContentTokenCount");
                (count("promptTokenCount"), cached, count("candidatesTokenCount"))
            }
        }
    }
}
