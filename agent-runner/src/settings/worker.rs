//! Which coding CLI works, with which model, and how long it may take.

use std::str::FromStr;
use std::time::Duration;

use api_client::Secret;
use api_client::contract::env;
use api_client::outcome::WorkerFacts;
use url::Url;

use super::{Layers, SettingsError, model};
use crate::model_gateway::{Budget, Fallback};

/// Longest silence of the worker within a turn, in seconds.
pub(crate) const WORKER_STALL_SEC: &str = "WORKER_STALL_SEC";
/// The original agent's limit of one worker turn.
const DEFAULT_TURN_LIMIT: Duration = Duration::from_secs(3_600);

/// Longer than the retries of any CLI (up to three minutes without an event) and than most test
/// suites that a worker runs as one tool call.
const DEFAULT_STALL_LIMIT: Duration = Duration::from_secs(900);

/// The coding CLI, its model, and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct WorkerSettings {
    /// Which CLI, and the model it is to use.
    pub(crate) cli: WorkerCli,
    /// Key of the model endpoint.
    pub(crate) key: Secret,
    /// Who stands in for that endpoint.
    pub(crate) fallback: Option<Fallback>,
    /// The models that may be asked; none for all.
    pub(crate) models: Option<Vec<String>>,
    /// What the model may read, write and cost.
    pub(crate) budget: Budget,
    /// Longest time for one turn.
    pub(crate) turn_limit: Duration,
    /// Longest time without an event within a turn.
    pub(crate) stall_limit: Duration,
}

/// A coding CLI and its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WorkerCli {
    /// OpenCode. It has no provider of its own that every key would fit.
    OpenCode {
        /// Base URL of an OpenAI-compatible endpoint.
        endpoint: Url,
        /// The model.
        model: String,
    },
    /// Claude Code.
    ClaudeCode {
        /// Base URL of an Anthropic endpoint; the provider's own when absent.
        endpoint: Option<Url>,
        /// The model; the CLI's default when absent.
        model: Option<String>,
    },
}

/// The names in `WORKER_MODE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum WorkerKind {
    /// OpenCode.
    #[default]
    OpenCode,
    /// Claude Code.
    ClaudeCode,
}

impl WorkerKind {
    const ALL: [Self; 2] = [Self::OpenCode, Self::ClaudeCode];

    const fn name(self) -> &'static str {
        match self {
            Self::OpenCode => "opencode",
            Self::ClaudeCode => "claude-code",
        }
    }

    /// What `WORKER_MODE` says.
    pub(super) fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let kind = layers.find(env::WORKER_MODE).map(|kind| kind.parse()).transpose()?;
        Ok(kind.unwrap_or_default())
    }
}

impl FromStr for WorkerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == text);
        known.ok_or_else(|| {
            let allowed = Self::ALL.map(Self::name).join(", ");
            match text {
                "codex" | "gemini" | "aider" => {
                    format!("{text:?} is not in this version yet; allowed: {allowed}")
                }
                _ => format!("must be one of {allowed}, got {text:?}"),
            }
        })
    }
}

impl WorkerSettings {
    pub(super) fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let key = "the worker needs the key of its model endpoint";
        let seconds =
            |name, default| layers.find(name).map_or(Ok(default), |found| found.seconds());
        Ok(Self {
            cli: WorkerCli::read(layers)?,
            key: layers.required(env::WORKER_LLM_KEY, key)?.secret(),
            fallback: model::fallback(layers)?,
            models: model::models(layers),
            budget: model::budget(layers)?,
            turn_limit: seconds(env::WORKER_TIMEOUT_SEC, DEFAULT_TURN_LIMIT)?,
            stall_limit: seconds(WORKER_STALL_SEC, DEFAULT_STALL_LIMIT)?,
        })
    }
}

impl WorkerSettings {
    /// The same with a gateway in the place of the model's endpoint, so that the CLI never has a key.
    pub(crate) fn by_way_of(&self, gateway: Url, placeholder: Secret) -> Self {
        let cli = match self.cli.clone() {
            WorkerCli::OpenCode { model, .. } => WorkerCli::OpenCode { endpoint: gateway, model },
            WorkerCli::ClaudeCode { model, .. } => {
                WorkerCli::ClaudeCode { endpoint: Some(gateway), model }
            }
        };
        Self { cli, key: placeholder, fallback: None, ..self.clone() }
    }
}

impl WorkerCli {
    /// The name in `WORKER_MODE`.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::OpenCode { .. } => WorkerKind::OpenCode.name(),
            Self::ClaudeCode { .. } => WorkerKind::ClaudeCode.name(),
        }
    }

    /// What the outcome of a run says of it.
    pub(crate) fn facts(&self) -> WorkerFacts {
        let model = match self {
            Self::OpenCode { model, .. } => Some(model.clone()),
            Self::ClaudeCode { model, .. } => model.clone(),
        };
        WorkerFacts { cli: self.name().to_owned(), version: None, model }
    }

    fn read(layers: &Layers) -> Result<Self, SettingsError> {
        match WorkerKind::read(layers)? {
            WorkerKind::OpenCode => {
                let endpoint = "OpenCode needs the URL of an OpenAI-compatible endpoint";
                let model = "OpenCode needs the name of a model";
                Ok(Self::OpenCode {
                    endpoint: layers.required(env::WORKER_LLM_URL, endpoint)?.url()?,
                    model: layers.required(env::WORKER_MODEL, model)?.text(),
                })
            }
            WorkerKind::ClaudeCode => Ok(Self::ClaudeCode {
                endpoint: layers.find(env::WORKER_LLM_URL).map(|url| url.url()).transpose()?,
                model: layers.find(env::WORKER_MODEL).map(|model| model.text()),
            }),
        }
    }
}
