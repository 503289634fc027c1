//! Claude Code (2.1): `claude -p`, its events as JSON lines, an Anthropic Messages endpoint.
//!
//! It ends a turn with one `result` event, of which `is_error` counts: `subtype` says `success` even
//! where the endpoint refused the key. A failed request is tried ten times again, over minutes: right
//! for an endpoint that is overloaded, and not for a key that is refused.

use std::ffi::OsString;
use std::path::Path;

use api_client::Secret;
use serde_json::Value;

use super::adapter::{
    Adapter, Environment, Exit, Reader, Turn, field, tool_target, without_version,
};
use super::ending::Ending;
use super::event::{Event, Usage};
use crate::settings::{OwnModel, Provider};

/// No update, no telemetry, no error reports. `IS_SANDBOX` lets it work without asking as root too,
/// which it otherwise refuses.
const SWITCHES: [&str; 5] = [
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "DISABLE_AUTOUPDATER",
    "DISABLE_ERROR_REPORTING",
    "DISABLE_TELEMETRY",
    "IS_SANDBOX",
];

/// The tools that write files.
const WRITING: [&str; 4] = ["Edit", "MultiEdit", "NotebookEdit", "Write"];

/// The tool that asks people.
const QUESTION: &str = "AskUserQuestion";

/// How the result of a command begins that did not succeed.
const EXIT_CODE: &str = "Exit code ";

/// Claude Code with one endpoint.
#[derive(Debug)]
pub(crate) struct ClaudeCode {
    /// Base URL without `/v1`.
    url: String,
    model: Option<String>,
    key: Secret,
    provider: Provider,
}

impl ClaudeCode {
    /// The base URL may be with or without `/v1`.
    pub(crate) fn new(model: OwnModel, key: Secret, provider: Provider) -> Self {
        Self { url: without_version(&model.endpoint), model: model.model, key, provider }
    }
}

impl Adapter for ClaudeCode {
    fn program(&self) -> &'static str {
        "claude"
    }

    fn session_files(&self) -> &'static [&'static str] {
        &[".claude/projects"]
    }

    fn arguments(&self, turn: &Turn<'_>) -> Vec<OsString> {
        let mut arguments = vec![
            "--print",
            "--output-format",
            "stream-json",
            "--verbose",
            "--dangerously-skip-permissions",
            // Settings and hooks of the repository would run programs and redirect the endpoint.
            "--setting-sources",
            "user",
            "--strict-mcp-config",
        ];
        arguments.extend(self.model.iter().flat_map(|model| ["--model", model]));
        arguments.extend(turn.session.into_iter().flat_map(|session| ["--resume", session]));
        arguments.into_iter().map(OsString::from).collect()
    }

    fn environment(&self, home: &Path) -> Environment {
        let mut environment: Environment = vec![
            ("CLAUDE_CONFIG_DIR".into(), home.join(".claude").into()),
            ("ANTHROPIC_API_KEY".into(), self.key.expose().into()),
            ("ANTHROPIC_BASE_URL".into(), self.url.as_str().into()),
        ];
        environment.extend(SWITCHES.map(|switch| (switch.into(), "1".into())));
        environment
    }

    fn reader(&self) -> Box<dyn Reader> {
        reader(self.provider)
    }
}

/// A reader of the output of one turn.
pub(super) fn reader(provider: Provider) -> Box<dyn Reader> {
    Box::new(Events { result: None, has_text: false, provider })
}

/// The events of one turn, as far as its end depends on them.
#[derive(Debug)]
struct Events {
    result: Option<Ending>,
    has_text: bool,
    provider: Provider,
}

impl Reader for Events {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Unknown];
        };
        match (field(&value, "type"), field(&value, "subtype")) {
            ("system", "init") => vec![Event::Session(field(&value, "session_id").to_owned())],
            ("system", "api_retry") => retry(&value),
            ("assistant", _) => {
                let events = said(&value["message"]);
                self.has_text |= events.iter().any(|event| matches!(event, Event::Text(_)));
                events
            }
            ("user", _) => tool_results(&value["message"]),
            ("result", _) => self.result(&value),
            _ => vec![Event::Unknown],
        }
    }

    fn judge(&self, exit: &Exit<'_>) -> Ending {
        match &self.result {
            Some(Ending::Finished) if !exit.success() => exit.failure(),
            Some(ending) => ending.clone(),
            None if exit.stderr.contains("Not logged in") => {
                Ending::AuthFailed("no key was given".to_owned())
            }
            None if exit.success() => Ending::Crashed("it exited without a result".to_owned()),
            None => exit.failure(),
        }
    }
}

impl Events {
    fn result(&mut self, value: &Value) -> Vec<Event> {
        let words = match field(value, "result") {
            "" => field(value, "subtype").to_owned(),
            text => text.to_owned(),
        };
        // Absent or of another type, it is no success.
        let failed = value["is_error"].as_bool().unwrap_or(true)
            || field(value, "subtype").starts_with("error");
        self.result = Some(if failed {
            failure(value, words)
        } else if field(value, "stop_reason") == "refusal" {
            Ending::Refused(words)
        } else {
            Ending::Finished
        });
        let usage = &value["usage"];
        let count = |name| usage[name].as_u64().unwrap_or(0);
        let usage = Usage {
            input: count("input_tokens") + count("cache_creation_input_tokens"),
            cached: count("cache_read_input_tokens"),
            output: count("output_tokens"),
        };
        let mut events = vec![Event::Usage(usage), Event::End];
        // It repeats the last text, and is all that there is of it where the messages have none.
        if self.result == Some(Ending::Finished) && !self.has_text {
            let text = field(value, "result");
            events.extend((!text.is_empty()).then(|| Event::Text(text.to_owned())));
        }
        if let (Provider::Own, Some(cost)) = (self.provider, value["total_cost_usd"].as_f64()) {
            events.push(Event::SessionCost(cost));
        }
        events
    }
}

/// What a result says that is none. Without a status, it failed for a reason of the CLI's own.
fn failure(value: &Value, words: String) -> Ending {
    let status = value["api_error_status"].as_u64();
    match field(value, "terminal_reason") {
        "api_error" | "prompt_too_long" => Ending::of_error(status, words),
        _ if status.is_some() => Ending::of_error(status, words),
        _ => Ending::Crashed(words),
    }
}

fn retry(value: &Value) -> Vec<Event> {
    let (attempt, most) = (&value["attempt"], &value["max_retries"]);
    let (status, error) = (value["error_status"].as_u64(), field(value, "error"));
    let answer = status.map_or_else(|| "no answer".to_owned(), |status| format!("status {status}"));
    let mut events = vec![Event::Retry(format!("{attempt} of {most}: {answer}, {error}"))];
    if matches!(status, Some(401 | 403)) {
        let ending = Ending::of_error(status, format!("{answer}, {error}"));
        events.push(Event::Hopeless(ending));
    }
    events
}

fn said(message: &Value) -> Vec<Event> {
    // The CLI's own words about an error, in the shape of an answer.
    let synthetic = field(message, "model") == "<synthetic>";
    let blocks = message["content"].as_array().into_iter().flatten();
    let events = blocks.flat_map(|block| match field(block, "type") {
        "text" if synthetic => {
            vec![Event::Error(Ending::of_error(None, field(block, "text").to_owned()))]
        }
        "text" => vec![Event::Text(field(block, "text").to_owned())],
        "tool_use" => tool_use(block),
        _ => Vec::new(),
    });
    events.collect()
}

fn tool_use(block: &Value) -> Vec<Event> {
    let (name, on) = (field(block, "name").to_owned(), tool_target(&block["input"]));
    let mut events = Vec::new();
    if name == QUESTION {
        events.push(Event::Question(block["input"].to_string()));
    } else if WRITING.contains(&name.as_str()) {
        events.push(Event::FileChange(on.clone()));
    }
    events.insert(0, Event::Tool { name, on });
    events
}

fn tool_results(message: &Value) -> Vec<Event> {
    let blocks = message["content"].as_array().into_iter().flatten();
    let failed = blocks.filter(|block| block["is_error"].as_bool() == Some(true));
    let event = |block: &Value| match tool_text(&block["content"]) {
        text if text.starts_with(EXIT_CODE) => Event::CommandFailed(text),
        text => Event::ToolFailed(text),
    };
    failed.map(event).collect()
}

/// What a tool said: one text, or blocks of which some are text.
fn tool_text(content: &Value) -> String {
    let blocks = content.as_array().into_iter().flatten();
    let texts: Vec<&str> = blocks.filter_map(|block| block["text"].as_str()).collect();
    content.as_str().map_or_else(|| texts.join("\n"), str::to_owned)
}

#[cfg(test)]
mod tests;
