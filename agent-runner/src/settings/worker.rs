//! Which coding CLI works, with which model, and how long it may take.

use std::str::FromStr;
use std::time::Duration;

use api_client::Secret;
use api_client::contract::env;
use api_client::outcome::WorkerFacts;
use url::Url;

use super::{Layers, SettingsError, model};
use crate::model_gateway::{Budget, Fallback, Wire};

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
    /// Whose endpoint that is.
    pub(crate) provider: Provider,
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
    OpenCode(ChatModel),
    /// Claude Code.
    ClaudeCode(OwnModel),
    /// Codex.
    Codex(OwnModel),
    /// Gemini CLI.
    Gemini(OwnModel),
    /// Aider. As OpenCode, it has no provider of its own.
    Aider(ChatModel),
}

/// A model behind OpenAI-compatible chat completions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChatModel {
    /// Base URL.
    pub(crate) endpoint: Url,
    /// Its name.
    pub(crate) model: String,
}

/// A model behind the protocol of the CLI's own provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnModel {
    /// Base URL.
    pub(crate) endpoint: Url,
    /// Its name; the CLI's default when absent.
    pub(crate) model: Option<String>,
}

/// Whose endpoint a CLI's model is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    /// The CLI's own provider: it speaks its protocol, and the CLI knows its prices.
    Own,
    /// Somebody else.
    Other,
}

/// The names in `WORKER_MODE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WorkerKind {
    /// OpenCode.
    #[default]
    OpenCode,
    /// Claude Code.
    ClaudeCode,
    /// Codex.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// Aider.
    Aider,
}

impl WorkerKind {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::OpenCode, Self::ClaudeCode, Self::Codex, Self::Gemini, Self::Aider];

    /// The name in `WORKER_MODE`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OpenCode => "opencode",
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Aider => "aider",
        }
    }

    /// The name of its program, which other tools call it by.
    const fn other_name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude",
            Self::Gemini => "gemini-cli",
            Self::OpenCode | Self::Codex | Self::Aider => self.name(),
        }
    }

    /// What it speaks to its model.
    pub(crate) const fn wire(self) -> Wire {
        match self {
            Self::OpenCode | Self::Aider => Wire::Chat,
            Self::ClaudeCode => Wire::Anthropic,
            Self::Codex => Wire::Responses,
            Self::Gemini => Wire::Gemini,
        }
    }

    /// Base URL of its own provider, where it has one.
    pub(super) const fn own_endpoint(self) -> Option<&'static str> {
        match self {
            Self::ClaudeCode => Some("https://api.anthropic.com"),
            Self::Codex => Some("https://api.openai.com/v1"),
            Self::Gemini => Some("https://generativelanguage.googleapis.com"),
            Self::OpenCode | Self::Aider => None,
        }
    }

    /// What `WORKER_MODE` says.
    pub(super) fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let kind = layers.find(env::WORKER_MODE).map(|kind| kind.parse()).transpose()?;
        Ok(kind.unwrap_or_default())
    }

    /// Where its model is: what is set, else its own provider.
    pub(super) fn endpoint(self, layers: &Layers) -> Result<Url, SettingsError> {
        let missing = SettingsError::Missing {
            name: env::WORKER_LLM_URL,
            purpose: "opencode and aider need the URL of an OpenAI-compatible endpoint",
        };
        match layers.find(env::WORKER_LLM_URL) {
            Some(url) => url.url(),
            None => self.own_endpoint().and_then(|url| url.parse().ok()).ok_or(missing),
        }
    }
}

impl FromStr for WorkerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_it = |kind: &Self| kind.name() == text || kind.other_name() == text;
        Self::ALL.into_iter().find(is_it).ok_or_else(|| {
            let allowed = Self::ALL.map(Self::name).join(", ");
            format!("must be one of {allowed}, got {text:?}")
        })
    }
}

impl WorkerSettings {
    pub(super) fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let key = "the worker needs the key of its model endpoint";
        let seconds =
            |name, default| layers.find(name).map_or(Ok(default), |found| found.seconds());
        let cli = WorkerCli::read(layers)?;
        let is_own =
            cli.kind().own_endpoint() == Some(cli.endpoint().as_str().trim_end_matches('/'));
        Ok(Self {
            cli,
            provider: if is_own { Provider::Own } else { Provider::Other },
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
        let mut cli = self.cli.clone();
        match &mut cli {
            WorkerCli::OpenCode(ChatModel { endpoint, .. })
            | WorkerCli::Aider(ChatModel { endpoint, .. })
            | WorkerCli::ClaudeCode(OwnModel { endpoint, .. })
            | WorkerCli::Codex(OwnModel { endpoint, .. })
            | WorkerCli::Gemini(OwnModel { endpoint, .. }) => *endpoint = gateway,
        }
        Self { cli, key: placeholder, fallback: None, ..self.clone() }
    }
}

impl WorkerCli {
    /// Which one it is.
    pub(crate) const fn kind(&self) -> WorkerKind {
        match self {
            Self::OpenCode(_) => WorkerKind::OpenCode,
            Self::ClaudeCode(_) => WorkerKind::ClaudeCode,
            Self::Codex(_) => WorkerKind::Codex,
            Self::Gemini(_) => WorkerKind::Gemini,
            Self::Aider(_) => WorkerKind::Aider,
        }
    }

    /// The name in `WORKER_MODE`.
    pub(crate) const fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// Base URL of its model.
    pub(crate) const fn endpoint(&self) -> &Url {
        match self {
            Self::OpenCode(model) | Self::Aider(model) => &model.endpoint,
            Self::ClaudeCode(model) | Self::Codex(model) | Self::Gemini(model) => &model.endpoint,
        }
    }

    /// The model, where one is named.
    pub(crate) fn model(&self) -> Option<&str> {
        match self {
            Self::OpenCode(model) | Self::Aider(model) => Some(&model.model),
            Self::ClaudeCode(model) | Self::Codex(model) | Self::Gemini(model) => {
                model.model.as_deref()
            }
        }
    }

    /// What the outcome of a run says of it.
    pub(crate) fn facts(&self) -> WorkerFacts {
        let model = self.model().map(str::to_owned);
        WorkerFacts { cli: self.name().to_owned(), version: None, model }
    }

    fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let kind = WorkerKind::read(layers)?;
        let endpoint = kind.endpoint(layers)?;
        let own = |endpoint| {
            let model = layers.find(env::WORKER_MODEL).map(|model| model.text());
            OwnModel { endpoint, model }
        };
        let chat = |endpoint| {
            let purpose = "opencode and aider need the name of a model";
            let model = layers.required(env::WORKER_MODEL, purpose)?.text();
            Ok::<_, SettingsError>(ChatModel { endpoint, model })
        };
        Ok(match kind {
            WorkerKind::OpenCode => Self::OpenCode(chat(endpoint)?),
            WorkerKind::ClaudeCode => Self::ClaudeCode(own(endpoint)),
            WorkerKind::Codex => Self::Codex(own(endpoint)),
            WorkerKind::Gemini => Self::Gemini(own(endpoint)),
            WorkerKind::Aider => Self::Aider(chat(endpoint)?),
        })
    }
}
