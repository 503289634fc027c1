//! Aider (0.86), run by a program of ours within its own Python: its events as JSON lines, an
//! OpenAI-compatible endpoint.
//!
//! By itself it prints for people, ends with code 0 whatever happened, and takes settings, variables and
//! its endpoint from files of the repository. `launch.py` stops that and tells what happens.
//!
//! It has no tools: the model names the files that it needs, from a map of the repository, and gets
//! them in its next request; its edits are text that Aider applies.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use api_client::Secret;
use serde_json::{Value, json};

use super::LOGGED_MAX;
use super::adapter::{Adapter, Environment, Exit, PromptBy, Reader, Turn, field, with_version};
use super::ending::Ending;
use super::event::{Event, Usage};
use crate::bounded::bounded;
use crate::settings::ChatModel;
use crate::user::find_program;

/// Runs Aider.
const LAUNCH: &str = include_str!("aider/launch.py");

/// Our files below the home.
const LAUNCH_FILE: &str = "launch.py";
const METADATA_FILE: &str = "models.json";
const SETTINGS_FILE: &str = "models.yml";
const HISTORY_FILE: &str = "chat.md";

/// Settings of all models. Aider asks again by itself, and says so; its client library would do the same
/// three times for each of those, and silently.
const SETTINGS: &str = r#"[{"name": "aider/extra_params", "extra_params": {"max_retries": 0}}]"#;

/// What is assumed of a model that Aider does not know, in tokens: as for OpenCode.
const CONTEXT_LIMIT: u32 = 128_000;
const OUTPUT_LIMIT: u32 = 16_384;

/// The size of its map of the repository, in tokens. Without a file in the chat it makes it up to eight
/// times as large.
const MAP_TOKENS: &str = "2048";

/// Nobody is asked, nothing is committed, looked up, sent home, opened in a browser or run: its linter
/// takes programs from files of the repository.
const SWITCHES: [&str; 17] = [
    "--yes-always",
    "--no-pretty",
    "--no-stream",
    "--no-fancy-input",
    "--no-auto-commits",
    "--no-dirty-commits",
    "--no-auto-lint",
    "--no-auto-test",
    "--no-gitignore",
    "--no-show-model-warnings",
    "--no-check-update",
    "--no-show-release-notes",
    "--no-analytics",
    "--no-detect-urls",
    "--no-suggest-shell-commands",
    "--no-notifications",
    "--no-watch-files",
];

/// How Aider says that it changed a file.
const APPLIED: &str = "Applied edit to ";

/// What begins and ends an edit in the model's words.
const EDIT: &str = "<<<<<<< SEARCH";
const FENCE: &str = "```";

/// Aider with one model of one endpoint.
#[derive(Debug)]
pub(crate) struct Aider {
    /// Base URL, with its version part.
    url: String,
    /// With the name of the protocol before it.
    model: String,
    key: Secret,
}

impl Aider {
    /// The base URL may be with or without `/v1`.
    pub(crate) fn new(model: &ChatModel, key: Secret) -> Self {
        let url = with_version(&model.endpoint);
        Self { url, model: format!("openai/{}", model.model), key }
    }

    fn metadata(&self) -> String {
        let limits = json!({
            "max_input_tokens": CONTEXT_LIMIT,
            "max_output_tokens": OUTPUT_LIMIT,
            "litellm_provider": "openai",
            "mode": "chat",
        });
        json!({ &self.model: limits }).to_string()
    }
}

impl Adapter for Aider {
    fn program(&self) -> &'static str {
        "aider"
    }

    /// The Python that Aider is installed for: beside it, or the one in `PATH`.
    fn executable(&self, environment: &Environment) -> io::Result<OsString> {
        let aider = find_program(self.program().as_ref(), environment)?.canonicalize()?;
        let beside = aider.with_file_name("python3");
        Ok(if beside.exists() { beside.into() } else { "python3".into() })
    }

    fn files(&self) -> Vec<(PathBuf, String)> {
        [
            (LAUNCH_FILE, LAUNCH.to_owned()),
            (METADATA_FILE, self.metadata()),
            (SETTINGS_FILE, SETTINGS.to_owned()),
        ]
        .map(|(name, text)| (name.into(), text))
        .into()
    }

    fn prompt_by(&self) -> PromptBy {
        PromptBy::File
    }

    fn arguments(&self, turn: &Turn<'_>) -> Vec<OsString> {
        let file = |name: &str| turn.home.join(name).into_os_string();
        let mut arguments: Vec<OsString> = vec![file(LAUNCH_FILE)];
        arguments.extend(SWITCHES.map(OsString::from));
        let mut set = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        set("--model", self.model.clone().into());
        set("--weak-model", self.model.clone().into());
        set("--edit-format", "diff".into());
        set("--map-tokens", MAP_TOKENS.into());
        set("--model-metadata-file", file(METADATA_FILE));
        set("--model-settings-file", file(SETTINGS_FILE));
        set("--env-file", "/dev/null".into());
        set("--chat-history-file", file(HISTORY_FILE));
        set("--input-history-file", file("input"));
        if let Some(prompt) = turn.prompt_file {
            set("--message-file", prompt.into());
        }
        arguments.extend(turn.session.map(|_| OsString::from("--restore-chat-history")));
        arguments
    }

    fn environment(&self, _home: &Path) -> Environment {
        [
            ("OPENAI_API_BASE", self.url.as_str()),
            ("OPENAI_API_KEY", self.key.expose()),
            ("AIDER_ANALYTICS_DISABLE", "1"),
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
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

/// The events of one turn, as far as its end depends on them.
#[derive(Debug, Default)]
struct Events {
    answered: bool,
    failure: Option<Ending>,
    last_error: String,
    end: Option<i64>,
}

impl Reader for Events {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Unknown];
        };
        let text = field(&value, "text");
        match field(&value, "type") {
            "output" => output(text),
            "text" => {
                self.answered = true;
                vec![Event::Text(without_edits(text))]
            }
            "usage" => vec![Event::Usage(usage(&value))],
            "warning" | "error" => {
                text.clone_into(&mut self.last_error);
                vec![Event::Note(text.to_owned())]
            }
            "question" => self.fails(Ending::NeedsInput(text.to_owned())),
            "failed" => self.fails(failed(&value)),
            "exhausted" => self.fails(Ending::ContextOverflow("a token limit was hit".to_owned())),
            "unfinished" => {
                let words = bounded(field(&value, "message"), LOGGED_MAX);
                self.fails(Ending::ToolsBroken(format!("its edits could not be applied: {words}")))
            }
            "end" => {
                self.end = Some(value["code"].as_i64().unwrap_or(1));
                // There is one session, its history in the home.
                vec![Event::Session(HISTORY_FILE.to_owned()), Event::End]
            }
            _ => vec![Event::Unknown],
        }
    }

    fn judge(&self, exit: &Exit<'_>) -> Ending {
        if let Some(failure) = &self.failure {
            return failure.clone();
        }
        match self.end {
            _ if !exit.success() => exit.failure(),
            Some(0) if self.answered => Ending::Finished,
            Some(0) => Ending::of_error(None, format!("no answer came: {}", self.last_error)),
            Some(code) => Ending::Crashed(format!("code {code}: {}", self.last_error)),
            None => Ending::Crashed("it exited without the end of its turn".to_owned()),
        }
    }
}

impl Events {
    /// Notes why the turn is no success, unless that is known.
    fn fails(&mut self, ending: Ending) -> Vec<Event> {
        let event = Event::Error(ending.clone());
        self.failure.get_or_insert(ending);
        vec![event]
    }
}

fn output(text: &str) -> Vec<Event> {
    let Some(file) = text.strip_prefix(APPLIED) else { return Vec::new() };
    let tool = Event::Tool { name: "edit".to_owned(), on: file.to_owned() };
    vec![tool, Event::FileChange(file.to_owned())]
}

fn failed(value: &Value) -> Ending {
    let message = field(value, "message").to_owned();
    if field(value, "error") == "ContentPolicyViolationError" {
        return Ending::Refused(message);
    }
    Ending::of_error(value["status"].as_u64(), message)
        .with_reset(super::words::seconds(value["retry_after"].as_str().unwrap_or_default()))
}

fn usage(value: &Value) -> Usage {
    let count = |name: &str| value[name].as_u64().unwrap_or(0);
    let cached = count("cached");
    Usage { input: count("input").saturating_sub(cached), cached, output: count("output") }
}

/// The model's words without its edits: fenced blocks, each after a line with the name of a file.
fn without_edits(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !line.trim_start().starts_with(FENCE) {
            kept.push(line);
            continue;
        }
        let rest: Vec<&str> = lines.clone().collect();
        let end = rest.iter().position(|line| line.trim_start().starts_with(FENCE));
        let block = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if block.iter().any(|line| line.starts_with(EDIT)) {
            if kept.last().is_some_and(|name| !name.trim().is_empty() && !name.contains(' ')) {
                kept.pop();
            }
        } else {
            kept.push(line);
            kept.extend(block);
            kept.extend(end.map(|_| FENCE));
        }
        for _ in 0..block.len() + 1 {
            let _in_the_block = lines.next();
        }
    }
    kept.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests;
