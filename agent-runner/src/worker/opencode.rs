//! OpenCode (1.18): `opencode run`, its events as JSON lines, an OpenAI-compatible endpoint.
//!
//! It has no final event: a turn is done when the process exits with 0, its last step ended with
//! `stop`, and no error was reported.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use api_client::Secret;
use serde_json::{Value, json};

use super::adapter::{Adapter, Environment, Exit, Reader, Turn, field, tool_target, with_version};
use super::ending::Ending;
use super::event::{Event, Usage};
use crate::settings::ChatModel;

/// Our provider and the variables that its configuration refers to.
const PROVIDER: &str = "worker";
const URL_VARIABLE: &str = "WORKER_ENDPOINT_URL";
const KEY_VARIABLE: &str = "WORKER_ENDPOINT_KEY";

/// What is assumed of a model that OpenCode does not know, in tokens: it compacts its history below
/// the first, and asks for answers of at most the second.
const CONTEXT_LIMIT: u32 = 128_000;
const OUTPUT_LIMIT: u32 = 16_384;

/// Steps in a row without a known end after which no end is to be expected. An endpoint that does
/// not speak the protocol makes OpenCode ask again at once and for ever, and deaf to SIGTERM.
const UNKNOWN_STEPS_MAX: u32 = 3;

/// No update, no telemetry, no sharing, no downloads, and nothing of the repository's own
/// configuration: that could redirect the endpoint or start programs.
const SWITCHES: [&str; 6] = [
    "OPENCODE_DISABLE_AUTOUPDATE",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS",
    "OPENCODE_DISABLE_LSP_DOWNLOAD",
    "OPENCODE_DISABLE_MODELS_FETCH",
    "OPENCODE_DISABLE_PROJECT_CONFIG",
    "OPENCODE_DISABLE_SHARE",
];

/// Where it looks for plugins, and for providers and tool servers, with the switch for its project
/// configuration set as well: the second of its two readers of settings does not know that.
const PROJECT_CONFIG: [&str; 3] = [".opencode", "opencode.json", "opencode.jsonc"];

/// OpenCode installs a package for plugins (63 MB) into its configuration folder at every start,
/// unless that folder looks as if it was there. We allow no plugins, so it is not missed.
const NO_PLUGIN_PACKAGE: [(&str, &str); 2] = [
    (".config/opencode/node_modules/.keep", ""),
    (
        ".config/opencode/package-lock.json",
        r#"{"packages":{"":{"dependencies":{"@opencode-ai/plugin":"*"}}}}"#,
    ),
];

/// The tools that write files.
const WRITING: [&str; 3] = ["write", "edit", "patch"];

/// OpenCode with one model of one endpoint.
#[derive(Debug)]
pub(crate) struct OpenCode {
    /// Base URL, with its version part.
    url: String,
    model: String,
    key: Secret,
}

impl OpenCode {
    /// The base URL may be with or without `/v1`.
    pub(crate) fn new(model: ChatModel, key: Secret) -> Self {
        Self { url: with_version(&model.endpoint), model: model.model, key }
    }

    /// The key is named here and not contained: this text is an environment variable that the CLI
    /// may log.
    fn config(&self) -> Value {
        let model = format!("{PROVIDER}/{}", self.model);
        json!({
            "autoupdate": false,
            "share": "disabled",
            "snapshot": false,
            "model": model,
            "small_model": model,
            "enabled_providers": [PROVIDER],
            "permission": { "*": "allow", "question": "deny" },
            "provider": { PROVIDER: {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Worker",
                "options": {
                    "baseURL": format!("{{env:{URL_VARIABLE}}}"),
                    "apiKey": format!("{{env:{KEY_VARIABLE}}}"),
                },
                "models": { &self.model: {
                    "name": self.model,
                    "limit": { "context": CONTEXT_LIMIT, "output": OUTPUT_LIMIT },
                } },
            } },
        })
    }
}

impl Adapter for OpenCode {
    fn program(&self) -> &'static str {
        "opencode"
    }

    fn session_files(&self) -> &'static [&'static str] {
        &[
            ".local/share/opencode/opencode.db",
            ".local/share/opencode/opencode.db-wal",
            ".local/share/opencode/opencode.db-shm",
            ".local/share/opencode/storage",
        ]
    }

    fn files(&self) -> Vec<(PathBuf, String)> {
        NO_PLUGIN_PACKAGE.map(|(path, text)| (path.into(), text.to_owned())).into()
    }

    fn hidden(&self) -> &'static [&'static str] {
        &PROJECT_CONFIG
    }

    fn arguments(&self, turn: &Turn<'_>) -> Vec<OsString> {
        // With a title given, no request is spent on finding one.
        let mut arguments = vec!["run", "--format", "json", "--auto", "--title", "job"];
        arguments.extend(turn.session.into_iter().flat_map(|session| ["--session", session]));
        arguments.into_iter().map(OsString::from).collect()
    }

    fn environment(&self, home: &Path) -> Environment {
        let mut environment: Environment = vec![
            ("OPENCODE_CONFIG_CONTENT".into(), self.config().to_string().into()),
            (URL_VARIABLE.into(), self.url.as_str().into()),
            (KEY_VARIABLE.into(), self.key.expose().into()),
            ("XDG_CONFIG_HOME".into(), home.join(".config").into()),
            ("XDG_DATA_HOME".into(), home.join(".local/share").into()),
            ("XDG_STATE_HOME".into(), home.join(".local/state").into()),
            ("XDG_CACHE_HOME".into(), home.join(".cache").into()),
        ];
        environment.extend(SWITCHES.map(|switch| (switch.into(), "1".into())));
        environment
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
    session_known: bool,
    last_step: Option<String>,
    unknown_steps: u32,
    failure: Option<Ending>,
}

impl Reader for Events {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Unknown];
        };
        let part = &value["part"];
        let mut events = match field(&value, "type") {
            "step_start" => Vec::new(),
            "text" => vec![Event::Text(field(part, "text").to_owned())],
            "tool_use" => tool(part),
            "step_finish" => self.step_finish(part),
            "error" => vec![self.error(&value["error"])],
            _ => vec![Event::Unknown],
        };
        if let (false, Some(session)) = (self.session_known, value["sessionID"].as_str()) {
            self.session_known = true;
            events.insert(0, Event::Session(session.to_owned()));
        }
        events
    }

    fn judge(&self, exit: &Exit<'_>) -> Ending {
        if let Some(failure) = &self.failure {
            return failure.clone();
        }
        if !exit.success() {
            return exit.failure();
        }
        match self.last_step.as_deref() {
            Some("stop") => Ending::Finished,
            Some("content-filter") => Ending::Refused("the answer was filtered".to_owned()),
            Some("length") => {
                Ending::ContextOverflow("the model's answer was cut off by its limit".to_owned())
            }
            Some(other) => Ending::Crashed(format!("its last step ended with {other:?}")),
            None => Ending::Crashed("it exited without having done a step".to_owned()),
        }
    }
}

impl Events {
    fn step_finish(&mut self, part: &Value) -> Vec<Event> {
        let reason = field(part, "reason");
        self.last_step = Some(reason.to_owned());
        self.unknown_steps = if reason == "unknown" { self.unknown_steps + 1 } else { 0 };
        let tokens = &part["tokens"];
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        let mut events = vec![Event::Usage(Usage {
            input: count(&tokens["input"]),
            cached: count(&tokens["cache"]["read"]),
            output: count(&tokens["output"]),
        })];
        if reason == "stop" {
            events.push(Event::PerhapsEnd);
        }
        if self.unknown_steps >= UNKNOWN_STEPS_MAX {
            events.push(Event::Hopeless(Ending::ModelUnavailable(
                "the endpoint answers, but not with chat completions".to_owned(),
            )));
        }
        events
    }

    fn error(&mut self, error: &Value) -> Event {
        let data = &error["data"];
        let name = field(error, "name");
        let message = match field(data, "message") {
            "" => name.to_owned(),
            message => message.to_owned(),
        };
        let ending = match name {
            "ProviderAuthError" => Ending::AuthFailed(message),
            "ContextOverflowError" => Ending::ContextOverflow(message),
            _ => Ending::of_error(data["statusCode"].as_u64(), message),
        };
        self.failure = Some(ending.clone());
        Event::Error(ending)
    }
}

fn tool(part: &Value) -> Vec<Event> {
    let state = &part["state"];
    let (name, on) = (field(part, "tool").to_owned(), tool_target(&state["input"]));
    let mut events = Vec::new();
    if name == "question" {
        events.push(Event::Question(state["input"].to_string()));
    }
    if field(state, "status") == "error" {
        events.push(Event::ToolFailed(field(state, "error").to_owned()));
    } else if WRITING.contains(&name.as_str()) {
        events.push(Event::FileChange(on.clone()));
    }
    events.insert(0, Event::Tool { name, on });
    events
}

#[cfg(test)]
mod tests;
