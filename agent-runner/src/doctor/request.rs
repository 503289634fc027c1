//! What a coding CLI asks its model, as far as the scripted one has to know.

use serde_json::Value;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini.
    Gemini,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// An answer in one piece.
    Whole,
    /// An answer as server-sent events.
    Events,
    /// How many tokens a request would have.
    Count,
}

/// A tool that the CLI offers.
#[derive(Debug)]
pub(super) struct Tool<'r> {
    pub(super) name: &'r str,
    /// The schema of its arguments; nothing where it takes plain text.
    pub(super) schema: Option<&'r Value>,
}

/// One request.
#[derive(Debug)]
pub(super) struct Request<'r> {
    pub(super) wire: Wire,
    pub(super) asked: Asked,
    pub(super) tools: Vec<Tool<'r>>,
    /// Whether a tool's result is in it.
    pub(super) has_result: bool,
}

impl<'r> Request<'r> {
    /// Reads a request by its path and body; nothing if it is of no protocol that is known.
    pub(super) fn read(path: &str, body: &'r Value) -> Option<Self> {
        let (wire, asked) = target(path, body["stream"] == true)?;
        let list = |name: &str| body[name].as_array().into_iter().flatten();
        let tools = match wire {
            Wire::Gemini => {
                let nested = list("tools").flat_map(|tools| items(&tools["functionDeclarations"]));
                nested.map(tool).collect()
            }
            Wire::Responses => list("tools").flat_map(nested_tools).map(tool).collect(),
            Wire::Chat | Wire::Anthropic => list("tools").map(tool).collect(),
        };
        let has_result = match wire {
            Wire::Chat => list("messages").any(|message| message["role"] == "tool"),
            Wire::Responses => list("input").any(|item| ends_with(&item["type"], "_output")),
            Wire::Anthropic => list("messages")
                .flat_map(|message| items(&message["content"]))
                .any(|block| block["type"] == "tool_result"),
            Wire::Gemini => list("contents")
                .flat_map(|content| items(&content["parts"]))
                .any(|part| part.get("functionResponse").is_some()),
        };
        Some(Self { wire, asked, tools, has_result })
    }
}

fn target(path: &str, stream: bool) -> Option<(Wire, Asked)> {
    let asked = if stream { Asked::Events } else { Asked::Whole };
    let last = path.rsplit('/').next().unwrap_or_default();
    match last.rsplit_once(':').map_or(last, |(_, action)| action) {
        "completions" => Some((Wire::Chat, asked)),
        "responses" => Some((Wire::Responses, asked)),
        "messages" => Some((Wire::Anthropic, asked)),
        "count_tokens" => Some((Wire::Anthropic, Asked::Count)),
        "generateContent" => Some((Wire::Gemini, Asked::Whole)),
        "streamGenerateContent" => Some((Wire::Gemini, Asked::Events)),
        "countTokens" => Some((Wire::Gemini, Asked::Count)),
        _ => None,
    }
}

/// A tool, as each protocol describes it.
fn tool(description: &Value) -> Tool<'_> {
    let inner = ["function", "custom"].into_iter().find_map(|kind| description.get(kind));
    let spec = inner.unwrap_or(description);
    let schemas = ["parameters", "input_schema", "parametersJsonSchema"];
    let schema = schemas.into_iter().find_map(|name| spec.get(name));
    let name = spec["name"].as_str().or_else(|| spec["type"].as_str());
    Tool { name: name.unwrap_or_default(), schema }
}

/// The tools of a namespace, or the tool itself.
fn nested_tools(description: &Value) -> impl Iterator<Item = &Value> {
    let nested = description["tools"].as_array();
    let itself = nested.is_none().then_some(description);
    nested.into_iter().flatten().chain(itself)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn ends_with(value: &Value, end: &str) -> bool {
    value.as_str().is_some_and(|text| text.ends_with(end))
}
