//! The Director: whose model it is, and how far it may go. There is one where its model is set and can be asked,
//! unless the switch says otherwise.

use std::str::FromStr;
use std::time::Duration;

use api_client::Secret;
use api_client::contract::env;
use url::Url;

use super::{Layers, SettingsError};
use crate::model_gateway::Wire;

/// The original agent's limit of one call.
const DEFAULT_CALL_LIMIT: Duration = Duration::from_secs(300);
/// Four times that of the original agent, whose answers were cut.
const DEFAULT_OUTPUT: u32 = 4_096;
/// About half of what today's models read at once, so that a gateway's smaller ones do as well.
const DEFAULT_CONTEXT: u32 = 60_000;
const DEFAULT_TURNS: u32 = 50;
const DEFAULT_REVIEW_TURNS: u32 = 20;
const DEFAULT_PLAN_REVIEWS: u32 = 5;

/// The Director of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectorSettings {
    /// Its model.
    pub(crate) main: DirectorModel,
    /// The models that stand in while that one gives no answer, in their order.
    pub(crate) fallbacks: Vec<DirectorModel>,
    /// Longest time for one call.
    pub(crate) call_limit: Duration,
    /// Most tokens that one answer may have.
    pub(crate) output: u32,
    /// Most tokens that one question has, with all that goes with it.
    pub(crate) context: u32,
    /// Most turns of the worker, from the first that is to change something.
    pub(crate) turns: u32,
    /// The same for a review.
    pub(crate) review_turns: u32,
    /// How often a plan is looked at.
    pub(crate) plan_reviews: u32,
}

/// A model that the Director may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectorModel {
    /// Whose it is.
    pub(crate) provider: DirectorProvider,
    /// Base URL.
    pub(crate) url: Url,
    /// Its key; an endpoint of one's own may need none.
    pub(crate) key: Option<Secret>,
    /// Its name.
    pub(crate) model: String,
}

/// The names in `AGENT_PROVIDER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirectorProvider {
    /// OpenAI.
    OpenAi,
    /// Anthropic, or what speaks its protocol.
    Anthropic,
    /// OpenRouter.
    OpenRouter,
    /// Chat completions at an address that is named.
    Custom,
}

/// What `AGENT_DIRECTOR` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switch {
    /// `1`: there is a Director, and what it needs and has not is an error.
    On,
    /// `0`: there is none.
    Off,
    /// Not set: there is one where its model is set. Configurations of the original agent, in which that is not so,
    /// go on without one.
    WhereSet,
}

/// The names of one model's settings.
struct Names {
    provider: &'static str,
    url: &'static str,
    model: &'static str,
    key: &'static str,
}

const MAIN: Names = Names {
    provider: env::AGENT_PROVIDER,
    url: env::AGENT_LLM_URL,
    model: env::AGENT_MODEL,
    key: env::AGENT_LLM_KEY,
};

const FALLBACK: Names = Names {
    provider: env::AGENT_FALLBACK_PROVIDER,
    url: env::AGENT_FALLBACK_URL,
    model: env::AGENT_FALLBACK_MODEL,
    key: env::AGENT_FALLBACK_KEY,
};

impl DirectorProvider {
    /// All of them.
    const ALL: [Self; 4] = [Self::OpenAi, Self::Anthropic, Self::OpenRouter, Self::Custom];

    /// The name in `AGENT_PROVIDER`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::OpenRouter => "openrouter",
            Self::Custom => "custom",
        }
    }

    /// What it speaks.
    pub(crate) const fn wire(self) -> Wire {
        match self {
            Self::Anthropic => Wire::Anthropic,
            Self::OpenAi | Self::OpenRouter | Self::Custom => Wire::Chat,
        }
    }

    /// Its usual base URL. The coordinator's filter of ways out has their hosts as well.
    const fn usual_url(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("https://api.openai.com/v1"),
            Self::Anthropic => Some("https://api.anthropic.com"),
            Self::OpenRouter => Some("https://openrouter.ai/api/v1"),
            Self::Custom => None,
        }
    }
}

impl FromStr for DirectorProvider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        Self::ALL.into_iter().find(|provider| provider.name() == name).ok_or_else(|| {
            let allowed = Self::ALL.map(Self::name).join(", ");
            format!("must be one of {allowed}, got {text:?}")
        })
    }
}

impl Switch {
    fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let said = layers.find(env::AGENT_DIRECTOR).map(|found| found.switch()).transpose()?;
        Ok(match said {
            Some(true) => Self::On,
            Some(false) => Self::Off,
            None => Self::WhereSet,
        })
    }
}

impl DirectorSettings {
    /// Those of a run, where it has a Director. Where it has none and was not told so, the log says what is missing.
    ///
    /// # Errors
    /// Of the first setting that cannot be used, or that a Director needs which is switched on.
    pub(super) fn read(layers: &Layers) -> Result<Option<Self>, SettingsError> {
        let switch = Switch::read(layers)?;
        let Some(main) = Self::main(layers, switch)? else { return Ok(None) };
        let number = |name, default, most: u32| match layers.find(name) {
            Some(found) => found.number(most),
            None => Ok(default),
        };
        let call_limit = layers.find(env::AGENT_TIMEOUT_SEC).map(|found| found.seconds());
        Ok(Some(Self {
            main,
            fallbacks: Self::fallback(layers, switch)?.into_iter().collect(),
            call_limit: call_limit.transpose()?.unwrap_or(DEFAULT_CALL_LIMIT),
            output: number(env::AGENT_MAX_OUTPUT, DEFAULT_OUTPUT, 1_000_000)?,
            context: number(env::AGENT_MAX_CONTEXT, DEFAULT_CONTEXT, 10_000_000)?,
            turns: number(env::AGENT_MAX_TURNS, DEFAULT_TURNS, 1_000)?,
            review_turns: number(env::AGENT_MAX_TURNS, DEFAULT_REVIEW_TURNS, 1_000)?,
            plan_reviews: number(env::AGENT_MAX_PLAN_REVIEWS, DEFAULT_PLAN_REVIEWS, 100)?,
        }))
    }

    fn main(layers: &Layers, switch: Switch) -> Result<Option<DirectorModel>, SettingsError> {
        if switch == Switch::Off {
            return Ok(None);
        }
        match DirectorModel::read(layers, &MAIN, switch) {
            Err(missing @ SettingsError::Missing { .. }) if switch == Switch::WhereSet => {
                tracing::info!("there is no Director: {missing}");
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    fn fallback(layers: &Layers, switch: Switch) -> Result<Option<DirectorModel>, SettingsError> {
        let is_named =
            [FALLBACK.url, FALLBACK.model].iter().any(|name| layers.find(name).is_some());
        is_named.then(|| DirectorModel::read(layers, &FALLBACK, switch)).transpose()
    }
}

impl DirectorModel {
    fn read(layers: &Layers, names: &Names, switch: Switch) -> Result<Self, SettingsError> {
        let purpose = "the Director needs the name of its model";
        let model = layers.required(names.model, purpose)?.text();
        let url = layers.find(names.url);
        let provider = match layers.find(names.provider).map(|found| found.parse()) {
            // The original agent speaks chat completions whatever the name, which may be any.
            Some(Err(_)) if switch == Switch::WhereSet => DirectorProvider::Custom,
            Some(read) => read?,
            None if url.is_some() => DirectorProvider::Custom,
            // As the original agent has it.
            None => DirectorProvider::OpenAi,
        };
        if let Some(found) = url {
            let key = layers.find(names.key).map(|key| key.secret());
            return Ok(Self { provider, url: found.url()?, key, model });
        }
        let usual = provider.usual_url().and_then(|url| url.parse().ok());
        let url = usual.ok_or(SettingsError::Missing {
            name: names.url,
            purpose: "the Director's provider is none of openai, anthropic and openrouter, and has no usual URL",
        })?;
        let purpose =
            "the Director's provider wants a key; an endpoint of your own is named by its URL";
        let key = Some(layers.required(names.key, purpose)?.secret());
        Ok(Self { provider, url, key, model })
    }
}

/// Whether there is a Director, for what is asked of it elsewhere.
///
/// # Errors
/// When the switch is neither `1` nor `0`.
pub(super) fn is_there(layers: &Layers) -> Result<bool, SettingsError> {
    Ok(match Switch::read(layers)? {
        Switch::On => true,
        Switch::Off => false,
        Switch::WhereSet => DirectorModel::read(layers, &MAIN, Switch::WhereSet).is_ok(),
    })
}

/// How long the turns may take together, from the beginning of the set-up, where that is limited.
pub(super) fn time_budget(layers: &Layers) -> Result<Option<Duration>, SettingsError> {
    layers.find(env::AGENT_TIME_BUDGET_SEC).map(|found| found.seconds()).transpose()
}

#[cfg(test)]
mod tests;
