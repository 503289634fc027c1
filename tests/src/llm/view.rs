//! One neutral view of a model request, and one neutral answer.

use serde_json::Value;

/// What the script needs to know of a request, whatever its wire.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) tools: Vec<Tool>,
    /// System prompt, as text.
    pub(super) system: String,
    pub(super) turns: Vec<Turn>,
}

/// A tool that the client offers.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) input: ToolInputKind,
    /// JSON schema of its arguments.
    pub(super) schema: Value,
}

/// What a tool takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolInputKind {
    Json,
    /// Plain text, as `apply_patch` takes it over the Responses API.
    Freeform,
}

/// One message of the conversation.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) role: Role,
    pub(super) text: String,
    /// Tool results in it.
    pub(super) results: u64,
}

/// Who said it, as far as the script cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Other,
}

/// What the model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Text(String),
    Call { tool: String, input: ToolInput },
}

/// What a tool is called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToolInput {
    Json(Value),
    Freeform(String),
}

/// Token counts of one answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// Cached ones included.
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) output: u64,
}

impl View {
    /// System prompt and all messages.
    pub(super) fn text(&self) -> String {
        let mut text = self.system.clone();
        for turn in &self.turns {
            text.push('\n');
            text.push_str(&turn.text);
        }
        text
    }

    /// Tool results after the last message in which the user only spoke.
    pub(super) fn results_since_prompt(&self) -> u64 {
        let mut count = 0;
        for turn in &self.turns {
            let spoke = turn.role == Role::User && !turn.text.trim().is_empty();
            if spoke && turn.results == 0 {
                count = 0;
            }
            count += turn.results;
        }
        count
    }
}

impl Turn {
    pub(super) fn new(role: &str, text: String, results: u64) -> Self {
        let role = if role == "user" { Role::User } else { Role::Other };
        Self { role, text, results }
    }
}

impl Tool {
    pub(super) fn new(name: &str, kind: &str, schema: Option<&Value>) -> Self {
        let input = if kind == "custom" { ToolInputKind::Freeform } else { ToolInputKind::Json };
        Self { name: name.to_owned(), input, schema: schema.cloned().unwrap_or_default() }
    }
}

impl ToolInput {
    /// As the text that most wires carry.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Json(value) => value.to_string(),
            Self::Freeform(text) => text.clone(),
        }
    }
}

/// All the text in a message's content: a string, or blocks of any wire.
pub(super) fn flatten(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| flatten(Some(item))).collect::<Vec<_>>().join("\n")
        }
        Some(Value::Object(object)) => {
            flatten(["text", "content", "parts"].into_iter().find_map(|key| object.get(key)))
        }
        _ => String::new(),
    }
}

/// The members of an array field; none when it is absent.
pub(super) fn items<'a>(body: &'a Value, key: &str) -> &'a [Value] {
    body[key].as_array().map_or(&[], Vec::as_slice)
}

/// A string field; empty when it is absent.
pub(super) fn string<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key].as_str().unwrap_or_default()
}
