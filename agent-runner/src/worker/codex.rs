//! Codex (0.169): `codex exec`, its events as JSON lines, an OpenAI Responses endpoint.
//!
//! It ends a turn with `turn.completed` or `turn.failed`. Its settings are a file of its home; one of
//! the repository is ignored, since we never tell it to trust that. What it says of tokens is the sum of
//! the whole session.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use api_client::Secret;
use serde_json::{Value, json};

use super::adapter::{Adapter, Environment, Exit, Reader, Turn, field, with_version};
use super::ending::Ending;
use super::event::{Event, Usage};
use crate::settings::OwnModel;

/// Its folder, below the home.
const FOLDER: &str = ".codex";

/// Our provider, and the variable with its key.
const PROVIDER: &str = "worker";
const KEY_VARIABLE: &str = "WORKER_ENDPOINT_KEY";

/// Exit codes from here on say that a command could not be run.
const NOT_RUN: i64 = 126;

/// Codex with one endpoint.
#[derive(Debug)]
pub(crate) struct Codex {
    /// Base URL, with its version part.
    url: String,
    model: Option<String>,
    key: Secret,
}

impl Codex {
    /// The base URL may be with or without `/v1`.
    pub(crate) fn new(model: OwnModel, key: Secret) -> Self {
        Self { url: with_version(&model.endpoint), model: model.model, key }
    }

    /// Its settings. Strings of JSON are strings of TOML.
    fn config(&self) -> String {
        let text = |text: &str| json!(text).to_string();
        let model = self.model.as_ref().map(|model| format!("model = {}\n", text(model)));
        format!(
            "{model}\
             model_provider = {provider}\n\
             approval_policy = \"never\"\n\
             sandbox_mode = \"danger-full-access\"\n\
             check_for_update_on_startup = false\n\
             web_search = \"disabled\"\n\
             # The prompt quotes what it would read itself.\n\
             project_doc_max_bytes = 0\n\
             [model_providers.{PROVIDER}]\n\
             name = \"Worker\"\n\
             base_url = {url}\n\
             env_key = {key}\n\
             wire_api = \"responses\"\n\
             [analytics]\n\
             enabled = false\n\
             [feedback]\n\
             enabled = false\n\
             [features]\n\
             apps = false\n\
             plugins = false\n\
             # It would wait for ever for an endpoint that cannot be reached.\n\
             unbounded_connection_retries = false\n",
            model = model.unwrap_or_default(),
            provider = text(PROVIDER),
            url = text(&self.url),
            key = text(KEY_VARIABLE),
        )
    }
}

impl Adapter for Codex {
    fn program(&self) -> &'static str {
        "codex"
    }

    fn files(&self) -> Vec<(PathBuf, String)> {
        vec![(Path::new(FOLDER).join("config.toml"), self.config())]
    }

    fn arguments(&self, turn: &Turn<'_>) -> Vec<OsString> {
        let mut arguments = vec!["exec", "--json"];
        arguments.extend(turn.session.into_iter().flat_map(|session| ["resume", session]));
        // The prompt is its standard input.
        arguments.push("-");
        arguments.into_iter().map(OsString::from).collect()
    }

    fn environment(&self, home: &Path) -> Environment {
        vec![
            ("CODEX_HOME".into(), home.join(FOLDER).into()),
            (KEY_VARIABLE.into(), self.key.expose().into()),
        ]
    }

    fn reader(&self) -> Box<dyn Reader> {
        reader()
    }
}

/// A reader of the output of one turn.
pub(super) fn reader() -> Box<dyn Reader> {
    Box::<Events>::default()
}

/// The events of one turn, as far as its end depends on them.
#[derive(Debug, Default)]
struct Events {
    end: Option<Ending>,
}

impl Reader for Events {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Unknown];
        };
        let item = &value["item"];
        match field(&value, "type") {
            "thread.started" => vec![Event::Session(field(&value, "thread_id").to_owned())],
            "turn.started" | "item.updated" => Vec::new(),
            "item.started" => started(item),
            "item.completed" => completed(item),
            "error" => error(field(&value, "message")),
            "turn.completed" => {
                self.end = Some(Ending::Finished);
                vec![Event::SessionUsage(usage(&value["usage"])), Event::End]
            }
            "turn.failed" => {
                let message = field(&value["error"], "message").to_owned();
                self.end = Some(Ending::of_error(None, message));
                vec![Event::End]
            }
            _ => vec![Event::Unknown],
        }
    }

    fn judge(&self, exit: &Exit<'_>) -> Ending {
        match &self.end {
            Some(Ending::Finished) if !exit.success() => exit.failure(),
            Some(ending) => ending.clone(),
            None if exit.success() => {
                Ending::Crashed("it exited without the end of its turn".to_owned())
            }
            None => exit.failure(),
        }
    }
}

fn started(item: &Value) -> Vec<Event> {
    let on = |text: &str| text.to_owned();
    let (name, on) = match field(item, "type") {
        "command_execution" => ("shell", on(field(item, "command"))),
        "web_search" => ("web_search", on(field(item, "query"))),
        "mcp_tool_call" | "dynamic_tool_call" | "collab_tool_call" => {
            (field(item, "type"), on(field(item, "tool")))
        }
        _ => return Vec::new(),
    };
    vec![Event::Tool { name: name.to_owned(), on }]
}

fn completed(item: &Value) -> Vec<Event> {
    let failed = matches!(field(item, "status"), "failed" | "declined");
    match field(item, "type") {
        "agent_message" => vec![Event::Text(field(item, "text").to_owned())],
        "command_execution" if failed => vec![command_failed(item)],
        "file_change" => file_change(item, failed),
        _ if failed => vec![Event::ToolFailed(item["error"].to_string())],
        // It is there in turns that succeed.
        "error" => vec![Event::Note(field(item, "message").to_owned())],
        "command_execution" | "reasoning" | "todo_list" | "web_search" | "mcp_tool_call"
        | "dynamic_tool_call" | "collab_tool_call" => Vec::new(),
        _ => vec![Event::Unknown],
    }
}

fn command_failed(item: &Value) -> Event {
    let output = field(item, "aggregated_output").trim();
    match item["exit_code"].as_i64() {
        Some(code) if (1..NOT_RUN).contains(&code) => {
            Event::CommandFailed(format!("exit code {code}: {output}"))
        }
        _ => Event::ToolFailed(output.to_owned()),
    }
}

fn file_change(item: &Value, failed: bool) -> Vec<Event> {
    let changes = item["changes"].as_array().into_iter().flatten();
    let paths: Vec<&str> = changes.map(|change| field(change, "path")).collect();
    let tool = Event::Tool { name: "apply_patch".to_owned(), on: paths.join(" ") };
    if failed {
        return vec![tool, Event::ToolFailed("the patch could not be applied".to_owned())];
    }
    let changed = paths.into_iter().map(|path| Event::FileChange(path.to_owned()));
    std::iter::once(tool).chain(changed).collect()
}

fn error(message: &str) -> Vec<Event> {
    let ending = Ending::of_error(None, message.to_owned());
    let Some(retry) = message.strip_prefix("Reconnecting... ") else {
        return vec![Event::Error(ending)];
    };
    let mut events = vec![Event::Retry(retry.to_owned())];
    if matches!(ending, Ending::AuthFailed(_)) {
        events.push(Event::Hopeless(ending));
    }
    events
}

fn usage(usage: &Value) -> Usage {
    let count = |name| usage[name].as_u64().unwrap_or(0);
    let cached = count("cached_input_tokens");
    Usage {
        input: count("input_tokens").saturating_sub(cached),
        cached,
        output: count("output_tokens"),
    }
}

#[cfg(test)]
mod tests;
