//! The Director: whose model it is, and how far it may go. Without a model or an address there is none.

use std::path::PathBuf;
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
    /// A folder with prompts that replace ours.
    pub(crate) prompts: Option<PathBuf>,
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

impl DirectorSettings {
    /// Those of a run; none where it is not switched on, or where neither a model nor an address is named: a
    /// provider alone, which apps send as their default, makes no Director.
    ///
    /// # Errors
    /// Of the first setting that cannot be used.
    pub(super) fn read(layers: &Layers) -> Result<Option<Self>, SettingsError> {
        if !is_on(layers)? {
            return Ok(None);
        }
        let Some(main) = DirectorModel::read(layers, &MAIN)? else { return Ok(None) };
        let number = |name, default, most: u32| match layers.find(name) {
            Some(found) => found.number(most),
            None => Ok(default),
        };
        let call_limit = layers.find(env::AGENT_TIMEOUT_SEC).map(|found| found.seconds());
        Ok(Some(Self {
            main,
            fallbacks: DirectorModel::read(layers, &FALLBACK)?.into_iter().collect(),
            call_limit: call_limit.transpose()?.unwrap_or(DEFAULT_CALL_LIMIT),
            output: number(env::AGENT_MAX_OUTPUT, DEFAULT_OUTPUT, 1_000_000)?,
            context: number(env::AGENT_MAX_CONTEXT, DEFAULT_CONTEXT, 10_000_000)?,
            turns: number(env::AGENT_MAX_TURNS, DEFAULT_TURNS, 1_000)?,
            review_turns: number(env::AGENT_MAX_TURNS, DEFAULT_REVIEW_TURNS, 1_000)?,
            plan_reviews: number(env::AGENT_MAX_PLAN_REVIEWS, DEFAULT_PLAN_REVIEWS, 100)?,
            // A folder of this machine is not the app's to name.
            prompts: layers
                .handed_over(env::AGENT_PROMPTS_DIR)
                .map(|folder| folder.directory())
                .transpose()?,
        }))
    }
}

impl DirectorModel {
    fn read(layers: &Layers, names: &Names) -> Result<Option<Self>, SettingsError> {
        let (url, model) = (layers.find(names.url), layers.find(names.model));
        if url.is_none() && model.is_none() {
            return Ok(None);
        }
        let purpose = "the Director needs the name of its model";
        let model = layers.required(names.model, purpose)?.text();
        let provider = match layers.find(names.provider) {
            Some(found) => found.parse()?,
            None if url.is_some() => DirectorProvider::Custom,
            // As the original agent has it.
            None => DirectorProvider::OpenAi,
        };
        let usual = || provider.usual_url().and_then(|url| url.parse().ok());
        let is_usual = url.is_none();
        let url = match url {
            Some(found) => found.url()?,
            None => usual().ok_or(SettingsError::Missing {
                name: names.url,
                purpose: "a Director with AGENT_PROVIDER=custom needs the URL of its endpoint",
            })?,
        };
        let key = match is_usual {
            true => {
                let purpose = "the Director's provider wants a key";
                Some(layers.required(names.key, purpose)?.secret())
            }
            false => layers.find(names.key).map(|key| key.secret()),
        };
        Ok(Some(Self { provider, url, key, model }))
    }
}

/// Whether there may be a Director. Configurations of the original name one, so that its model alone makes none.
///
/// # Errors
/// When the switch is neither `1` nor `0`.
pub(super) fn is_on(layers: &Layers) -> Result<bool, SettingsError> {
    let found = layers.find(env::AGENT_DIRECTOR).map(|director| director.switch());
    Ok(found.transpose()?.unwrap_or(false))
}

/// How long the turns may take together, from the beginning of the set-up, where that is limited.
pub(super) fn time_budget(layers: &Layers) -> Result<Option<Duration>, SettingsError> {
    layers.find(env::AGENT_TIME_BUDGET_SEC).map(|found| found.seconds()).transpose()
}

#[cfg(test)]
mod tests {
    use super::super::Handover;
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Option<DirectorSettings>, String> {
        let settings = [settings, &[("AGENT_DIRECTOR", "1")]].concat();
        let layers = Layers::new(Handover::of(&settings, None)).unwrap();
        DirectorSettings::read(&layers).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_configuration_of_the_original_names_makes_none_by_itself() {
        let original = [("AGENT_LLM_URL", "http://llm.example"), ("AGENT_PROVIDER", "vllm")];
        for switch in [&[][..], &[("AGENT_DIRECTOR", "0")]] {
            let layers = Layers::new(Handover::of(&[&original, switch].concat(), None)).unwrap();
            assert_eq!(DirectorSettings::read(&layers).unwrap(), None);
        }
    }

    #[test]
    fn without_a_model_and_an_address_there_is_none() {
        let app = [("AGENT_PROVIDER", "openai"), ("AGENT_API_KEY", "sk-1"), ("AGENT_MODEL", " ")];
        assert_eq!(read(&app), Ok(None));
    }

    #[test]
    fn a_provider_has_its_usual_address_and_wants_a_key() {
        let (model, key) = (("AGENT_MODEL", "m"), ("AGENT_API_KEY", "sk-1"));
        for (provider, url) in [
            ("openai", "https://api.openai.com/v1"),
            ("anthropic", "https://api.anthropic.com/"),
            ("OpenRouter", "https://openrouter.ai/api/v1"),
        ] {
            let provider = ("AGENT_PROVIDER", provider);
            assert_eq!(read(&[model, key, provider]).unwrap().unwrap().main.url.as_str(), url);
            let error = read(&[model, provider]).unwrap_err();
            assert!(error.starts_with("AGENT_API_KEY is not set"), "{error}");
        }
        let default = read(&[model, key]).unwrap().unwrap().main;
        assert_eq!(default.provider, DirectorProvider::OpenAi);
        let error = read(&[model, ("AGENT_PROVIDER", "custom")]).unwrap_err();
        assert!(error.starts_with("AGENT_LLM_URL is not set"), "{error}");
        let error = read(&[model, ("AGENT_PROVIDER", "oracle")]).unwrap_err();
        assert!(error.contains("openai, anthropic, openrouter, custom"), "{error}");
    }

    #[test]
    fn an_endpoint_of_ones_own_needs_a_model_and_may_need_no_key() {
        let url = ("AGENT_LLM_URL", "http://llm.example:8080");
        let error = read(&[url]).unwrap_err();
        assert!(error.starts_with("AGENT_MODEL is not set"), "{error}");
        let main = read(&[url, ("AGENT_MODEL", "m")]).unwrap().unwrap().main;
        assert_eq!((main.provider, main.key), (DirectorProvider::Custom, None));
        let anthropic = [url, ("AGENT_MODEL", "m"), ("AGENT_PROVIDER", "anthropic")];
        assert_eq!(read(&anthropic).unwrap().unwrap().main.provider.wire(), Wire::Anthropic);
    }

    #[test]
    fn limits_have_defaults_and_are_whole_numbers() {
        let own = [("AGENT_LLM_URL", "http://llm.example"), ("AGENT_MODEL", "m")];
        let settings = read(&own).unwrap().unwrap();
        assert_eq!((settings.turns, settings.plan_reviews, settings.output), (50, 5, 4096));
        assert_eq!(settings.review_turns, 20);
        assert_eq!(settings.fallbacks, []);
        for name in ["AGENT_MAX_TURNS", "AGENT_MAX_PLAN_REVIEWS", "AGENT_MAX_OUTPUT"] {
            let error = read(&[own[0], own[1], (name, "0")]).unwrap_err();
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn a_fallback_is_a_model_of_its_own() {
        let settings = read(&[
            ("AGENT_LLM_URL", "http://llm.example"),
            ("AGENT_MODEL", "m"),
            ("AGENT_FALLBACK_PROVIDER", "anthropic"),
            ("AGENT_FALLBACK_MODEL", "other"),
            ("AGENT_FALLBACK_API_KEY", "sk-2"),
        ]);
        let fallbacks = settings.unwrap().unwrap().fallbacks;
        assert_eq!(fallbacks[0].url.as_str(), "https://api.anthropic.com/");
        assert_eq!((fallbacks.len(), fallbacks[0].model.as_str()), (1, "other"));
    }
}
