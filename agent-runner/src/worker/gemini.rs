//! Gemini CLI (0.61): its events as JSON lines, a Gemini endpoint.
//!
//! It ends a turn with one `result` event. Its exit code is the HTTP status of its endpoint, as far as
//! a byte holds it. Started as usual it would start itself once more, and its first process ignores
//! SIGTERM.
//!
//! The work tree is trusted by an argument, and not by a setting or a variable: those count already when
//! it looks for settings, hooks and tool servers of the repository, the argument only afterwards.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use api_client::Secret;
use serde_json::{Value, json};

use super::adapter::{
    Adapter, Environment, Exit, Reader, Turn, field, tool_target, without_version,
};
use super::ending::Ending;
use super::event::{Event, Usage};
use crate::settings::OwnModel;

/// How often it asks for one answer.
const ATTEMPTS: u32 = 5;

/// The tools that write files.
const WRITING: [&str; 2] = ["write_file", "replace"];

/// The tool that asks people.
const QUESTION: &str = "ask_user";

/// What an exit code is less than the HTTP status that it stands for.
const STATUS_LOST: i32 = 256;

/// Exit codes that are no status: no way to authenticate, and a tool that ended everything.
const NO_AUTHENTICATION: i32 = 41;
const FATAL_TOOL: i32 = 54;

/// Gemini CLI with one endpoint.
#[derive(Debug)]
pub(crate) struct Gemini {
    /// Base URL without its version part.
    url: String,
    model: Option<String>,
    key: Secret,
}

impl Gemini {
    /// The base URL may be with or without `/v1beta`.
    pub(crate) fn new(model: OwnModel, key: Secret) -> Self {
        Self { url: without_version(&model.endpoint), model: model.model, key }
    }

    /// Settings of the user that it runs as.
    fn settings() -> Value {
        json!({
            "general": {
                "enableAutoUpdate": false,
                "enableAutoUpdateNotification": false,
                "maxAttempts": ATTEMPTS,
            },
            "privacy": { "usageStatisticsEnabled": false },
            "telemetry": { "enabled": false },
            "hooksConfig": { "enabled": false },
            "advanced": { "ignoreLocalEnv": true },
            "security": {
                "auth": { "selectedType": "gemini-api-key" },
                "folderTrust": { "enabled": true },
            },
        })
    }
}

impl Adapter for Gemini {
    fn program(&self) -> &'static str {
        "gemini"
    }

    fn files(&self) -> Vec<(PathBuf, String)> {
        vec![(".gemini/settings.json".into(), Self::settings().to_string())]
    }

    fn arguments(&self, turn: &Turn<'_>) -> Vec<OsString> {
        let mut arguments =
            vec!["--output-format", "stream-json", "--approval-mode", "yolo", "--skip-trust"];
        arguments.extend(self.model.iter().flat_map(|model| ["--model", model]));
        arguments.extend(turn.session.into_iter().flat_map(|session| ["--resume", session]));
        arguments.into_iter().map(OsString::from).collect()
    }

    fn environment(&self, _home: &Path) -> Environment {
        [
            ("GEMINI_CLI_NO_RELAUNCH", "true"),
            ("GOOGLE_GEMINI_BASE_URL", &self.url),
            ("GEMINI_API_KEY", self.key.expose()),
            // A file of the repository could set these, where they are not set.
            ("GOOGLE_API_KEY", ""),
            ("GOOGLE_CLOUD_PROJECT", ""),
            ("GOOGLE_CLOUD_LOCATION", ""),
            ("NO_BROWSER", "true"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
    }

    fn reader(&self) -> Box<dyn Reader> {
        reader()
    }
}

/// A reader of the output of one turn.
pub(super) fn reader() -> Box<dyn Reader> {
    Box::<Events>::default()
}

/// The events of one turn, as far as its end and what follows depend on them.
#[derive(Debug, Default)]
struct Events {
    /// The model's words since its last event of another kind; they come in pieces.
    words: String,
    /// Files that tools are about to write, by the id of the call.
    writing: HashMap<String, String>,
    last_error: String,
    result: Option<Result<(), String>>,
}

impl Reader for Events {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Unknown];
        };
        if (field(&value, "type"), field(&value, "role")) == ("message", "assistant") {
            self.words.push_str(field(&value, "content"));
            return Vec::new();
        }
        let mut events = Vec::new();
        if !self.words.is_empty() {
            events.push(Event::Text(std::mem::take(&mut self.words)));
        }
        events.extend(self.event(&value));
        events
    }

    fn judge(&self, exit: &Exit<'_>) -> Ending {
        let status = exit.code().map(|code| code + STATUS_LOST).filter(|code| *code >= 400);
        let status = status.and_then(|status| u64::try_from(status).ok());
        match &self.result {
            Some(Ok(())) if exit.success() => Ending::Finished,
            Some(Err(words)) => Ending::of_error(status.or_else(|| code_in(words)), words.clone()),
            Some(Ok(())) | None => match exit.code() {
                Some(NO_AUTHENTICATION) => {
                    Ending::AuthFailed(exit.last_words().unwrap_or_default().to_owned())
                }
                Some(FATAL_TOOL) => {
                    Ending::ToolsBroken(exit.last_words().unwrap_or_default().to_owned())
                }
                Some(0) => Ending::Crashed("it exited without a result".to_owned()),
                _ => exit.failure(),
            },
        }
    }
}

impl Events {
    fn event(&mut self, value: &Value) -> Vec<Event> {
        match field(value, "type") {
            "init" => vec![Event::Session(field(value, "session_id").to_owned())],
            // What we said ourselves.
            "message" => Vec::new(),
            "tool_use" => self.tool_use(value),
            "tool_result" => self.tool_result(value),
            "error" => {
                field(value, "message").clone_into(&mut self.last_error);
                vec![Event::Note(self.last_error.clone())]
            }
            "result" => self.result(value),
            _ => vec![Event::Unknown],
        }
    }

    fn tool_use(&mut self, value: &Value) -> Vec<Event> {
        let (name, on) = (field(value, "tool_name").to_owned(), tool_target(&value["parameters"]));
        if WRITING.contains(&name.as_str()) {
            self.writing.insert(field(value, "tool_id").to_owned(), on.clone());
        }
        let question = (name == QUESTION).then(|| value["parameters"].to_string());
        let tool = Event::Tool { name, on };
        std::iter::once(tool).chain(question.map(Event::Question)).collect()
    }

    fn tool_result(&mut self, value: &Value) -> Vec<Event> {
        let written = self.writing.remove(field(value, "tool_id"));
        if field(value, "status") == "success" {
            return written.map(Event::FileChange).into_iter().collect();
        }
        let words = match field(&value["error"], "message") {
            "" => field(value, "output"),
            message => message,
        };
        vec![Event::ToolFailed(words.to_owned())]
    }

    fn result(&mut self, value: &Value) -> Vec<Event> {
        self.result = Some(match field(value, "status") {
            "success" => Ok(()),
            _ => Err(match field(&value["error"], "message") {
                "" => self.last_error.clone(),
                message => message.to_owned(),
            }),
        });
        let count = |name| value["stats"][name].as_u64().unwrap_or(0);
        let cached = count("cached");
        let usage = Usage {
            input: count("input_tokens").saturating_sub(cached),
            cached,
            output: count("output_tokens"),
        };
        vec![Event::Usage(usage), Event::End]
    }
}

/// The status in an error of the endpoint, which is quoted as it came.
fn code_in(words: &str) -> Option<u64> {
    let (_, rest) = words.split_once("\"code\":")?;
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|status| (400..600).contains(status))
}

#[cfg(test)]
mod tests;
