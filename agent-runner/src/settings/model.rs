//! The worker's model: where it is, with which key, and what may be used of it.

use api_client::Secret;
use api_client::contract::env;
use url::Url;

use super::worker::WorkerKind;
use super::{Layers, SettingsError, WorkerCli};
use crate::model_gateway::{Budget, ModelGatewayConfig, Pricing, Usd};

/// Where Claude Code's model is when no setting says so.
const ANTHROPIC: &str = "https://api.anthropic.com";

/// Most tokens that a budget can have.
const TOKENS_MAX: u64 = 1_000_000_000_000;

impl ModelGatewayConfig {
    /// The gateway of a run: in front of this worker's model, for whoever shows `placeholder`.
    ///
    /// # Errors
    /// Of no setting: it was read before.
    pub(crate) fn of(
        settings: &super::WorkerSettings,
        placeholder: Secret,
    ) -> Result<Self, SettingsError> {
        let upstream = match &settings.cli {
            WorkerCli::OpenCode { endpoint, .. } => Some(endpoint),
            WorkerCli::ClaudeCode { endpoint, .. } => endpoint.as_ref(),
        };
        Ok(Self {
            upstream: upstream.map_or_else(anthropic, |url| Ok(url.clone()))?,
            key: settings.key.clone(),
            placeholder,
            budget: settings.budget,
        })
    }

    /// A gateway of its own, for callers elsewhere.
    ///
    /// # Errors
    /// Of the first setting that cannot be used.
    #[expect(dead_code, reason = "for the subcommand `gateway`")]
    pub(crate) fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let key = "the model gateway needs the provider's key";
        let placeholder = "the model gateway needs to know what its callers show";
        Ok(Self {
            upstream: upstream(layers)?,
            key: layers.required(env::WORKER_LLM_KEY, key)?.secret(),
            placeholder: layers.required(env::MODEL_GATEWAY_KEY, placeholder)?.secret(),
            budget: budget(layers)?,
        })
    }
}

fn upstream(layers: &Layers) -> Result<Url, SettingsError> {
    match (layers.find(env::WORKER_LLM_URL), WorkerKind::read(layers)?) {
        (Some(url), _) => url.url(),
        (None, WorkerKind::ClaudeCode) => anthropic(),
        (None, WorkerKind::OpenCode) => Err(SettingsError::Missing {
            name: env::WORKER_LLM_URL,
            purpose: "the base URL of the model's provider",
        }),
    }
}

fn anthropic() -> Result<Url, SettingsError> {
    ANTHROPIC.parse().map_err(|_| SettingsError::Missing {
        name: env::WORKER_LLM_URL,
        purpose: "the base URL of the model's provider",
    })
}

/// The limits of a job, all of them optional.
pub(super) fn budget(layers: &Layers) -> Result<Budget, SettingsError> {
    let tokens = layers.find(env::WORKER_TOKEN_BUDGET).map(|found| {
        let tokens = found.text().parse::<u64>().ok().filter(|n| (1..=TOKENS_MAX).contains(n));
        tokens.ok_or_else(|| {
            let shown = found.shown();
            found.invalid(&format!("must be a whole number from 1 to {TOKENS_MAX}, got {shown:?}"))
        })
    });
    Ok(Budget { tokens: tokens.transpose()?, pricing: pricing(layers)? })
}

fn pricing(layers: &Layers) -> Result<Option<Pricing>, SettingsError> {
    let usd = |name| layers.find(name).map(|found| found.parse::<Usd>()).transpose();
    let limit = usd(env::WORKER_MONEY_BUDGET)?;
    match (usd(env::WORKER_PRICE_INPUT)?, usd(env::WORKER_PRICE_OUTPUT)?) {
        (Some(input), Some(output)) => Ok(Some(Pricing { input, output, limit })),
        (None, None) if limit.is_none() => Ok(None),
        (input, _) => Err(SettingsError::Missing {
            name: match input {
                None => env::WORKER_PRICE_INPUT,
                Some(_) => env::WORKER_PRICE_OUTPUT,
            },
            purpose: "money is counted with WORKER_PRICE_INPUT and WORKER_PRICE_OUTPUT, both in US \
                      dollars for a million tokens",
        }),
    }
}
