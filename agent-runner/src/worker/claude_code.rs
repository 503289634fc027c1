//! Claude Code (2.1): `claude -p`, its events as JSON lines, an Anthropic Messages endpoint.
//!
//! It ends a turn with one `result` event, of which `is_error` counts: `subtype` says `success` even
//! where the endpoint refused the key. A failed request is tried ten times again, over minutes: right
//! for an endpoint that is overloaded, and not for a key that is refused.

use std::ffi::OsString;
use std::path::Path;

use api_client::Secret;
use serde_json::Value;
use url::Url;

use super::event::{Ending, Event, Usage};
use super::{Adapter, Exit, Reader, field, tool_target};

/// No update, no telemetry, no error reports. `IS_SANDBOX` lets it work without asking as root too,
/// which it otherwise refuses.
const SWITCHES: [&str; 5] = [
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "DISABLE_AUTOUPDATER",
    "DISABLE_ERROR_REPORTING",
    "DISABLE_TELEMETRY",
    "IS_SANDBOX",
];

/// Claude Code with one endpoint.
#[derive(Debug)]
pub(crate) struct ClaudeCode {
    /// Base URL without `/v1`; the provider's own when absent.
    url: Option<Url>,
    model: Option<String>,
    key: Secret,
}

impl ClaudeCode {
    /// `url` is the base URL with or without `/v1`.
    pub(crate) fn new(url: Option<&Url>, model: Option<String>, key: Secret) -> Self {
        Self { url: url.map(without_version), model, key }
    }
}

impl Adapter for ClaudeCode {
    fn program(&self) -> &'static str {
        "claude"
    }

    fn arguments(&self, session: Option<&str>) -> Vec<OsString> {
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
        arguments.extend(session.into_iter().flat_map(|session| ["--resume", session]));
        arguments.into_iter().map(OsString::from).collect()
    }

    fn environment(&self, home: &Path) -> Vec<(OsString, OsString)> {
        let mut environment: Vec<(OsString, OsString)> = vec![
            ("CLAUDE_CONFIG_DIR".into(), home.join(".claude").into()),
            ("ANTHROPIC_API_KEY".into(), self.key.expose().into()),
        ];
        let url = self.url.as_ref().map(|url| url.as_str().trim_end_matches('/'));
        environment.extend(url.map(|url| ("ANTHROPIC_BASE_URL".into(), url.into())));
        environment.extend(SWITCHES.map(|switch| (switch.into(), "1".into())));
        environment
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::<Events>::default()
    }
}

/// The events of one turn, as far as its end depends on them.
#[derive(Debug, Default)]
struct Events {
    result: Option<Ending>,
}

impl Reader for Events {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Unknown];
        };
        match (field(&value, "type"), field(&value, "subtype")) {
            ("system", "init") => vec![Event::Session(field(&value, "session_id").to_owned())],
            ("system", "api_retry") => retry(&value),
            ("assistant", _) => said(&value["message"]),
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
            Ending::of_http_status(value["api_error_status"].as_u64(), words)
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
        vec![Event::Usage(usage), Event::End]
    }
}

fn retry(value: &Value) -> Vec<Event> {
    let (attempt, most) = (&value["attempt"], &value["max_retries"]);
    let (status, error) = (value["error_status"].as_u64(), field(value, "error"));
    let answer = status.map_or_else(|| "no answer".to_owned(), |status| format!("status {status}"));
    let mut events = vec![Event::Retry(format!("{attempt} of {most}: {answer}, {error}"))];
    if matches!(status, Some(401 | 403)) {
        let ending = Ending::of_http_status(status, format!("{answer}, {error}"));
        events.push(Event::Hopeless(ending));
    }
    events
}

fn said(message: &Value) -> Vec<Event> {
    // The CLI's own words about an error, in the shape of an answer.
    let synthetic = field(message, "model") == "<synthetic>";
    let blocks = message["content"].as_array().into_iter().flatten();
    let events = blocks.filter_map(|block| match field(block, "type") {
        "text" if synthetic => Some(Event::Error(field(block, "text").to_owned())),
        "text" => Some(Event::Text(field(block, "text").to_owned())),
        "tool_use" => Some(Event::Tool {
            name: field(block, "name").to_owned(),
            on: tool_target(&block["input"]),
        }),
        _ => None,
    });
    events.collect()
}

fn tool_results(message: &Value) -> Vec<Event> {
    let blocks = message["content"].as_array().into_iter().flatten();
    let failed = blocks.filter(|block| block["is_error"].as_bool() == Some(true));
    failed.map(|block| Event::ToolFailed(tool_text(&block["content"]))).collect()
}

/// What a tool said: one text, or blocks of which some are text.
fn tool_text(content: &Value) -> String {
    let blocks = content.as_array().into_iter().flatten();
    let texts: Vec<&str> = blocks.filter_map(|block| block["text"].as_str()).collect();
    content.as_str().map_or_else(|| texts.join("\n"), str::to_owned)
}

/// The URL without `/v1` at its end: the CLI adds it.
fn without_version(url: &Url) -> Url {
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path).to_owned();
    let mut url = url.clone();
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests;
