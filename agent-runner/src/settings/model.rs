//! The worker's model: where it is, with which key, and what may be used of it.

use api_client::Secret;
use api_client::contract::env;
use api_client::http::Network;

use super::worker::WorkerKind;
use super::{Layers, SettingsError, WorkerSettings, director, network};
use crate::model_gateway::{Budget, Fallback, ModelGatewayConfig, Price, Pricing, Spent, Usd};

/// Most tokens that a budget can have.
const TOKENS_MAX: u64 = 1_000_000_000_000;

impl ModelGatewayConfig {
    /// The gateway of a run, of whose job this was `spent` before: in front of this worker's model, for whoever shows
    /// `placeholder`.
    pub(crate) fn of(settings: &WorkerSettings, placeholder: Secret, spent: Spent) -> Self {
        Self {
            upstream: settings.cli.endpoint().clone(),
            key: settings.key.clone(),
            fallback: settings.fallback.clone(),
            models: settings.models.clone(),
            placeholder,
            budget: settings.budget.beside(spent),
            // Proxies and certificates are in the environment of a run.
            network: Network::default(),
        }
    }

    /// A gateway of its own, for callers elsewhere.
    ///
    /// # Errors
    /// Of the first setting that cannot be used.
    pub(crate) fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let key = "the model gateway needs the provider's key";
        let placeholder = "the model gateway needs to know what its callers show";
        Ok(Self {
            upstream: WorkerKind::read(layers)?.endpoint(layers)?,
            key: layers.required(env::WORKER_LLM_KEY, key)?.secret(),
            fallback: fallback(layers)?,
            models: models(layers),
            placeholder: layers.required(env::MODEL_GATEWAY_KEY, placeholder)?.secret(),
            budget: budget(layers)?.beside(Spent::default()),
            network: network::of_gateway(layers)?,
        })
    }
}

/// The models that may be asked, the worker's own among them. A model that the repository chooses must
/// be in the list.
pub(super) fn models(layers: &Layers) -> Option<Vec<String>> {
    let names = layers.find(env::WORKER_MODELS)?.text();
    let own = layers.given(env::WORKER_MODEL).map(|model| model.text());
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    Some(names.map(str::to_owned).chain(own).collect())
}

/// Who stands in for the model's endpoint, where somebody does.
pub(super) fn fallback(layers: &Layers) -> Result<Option<Fallback>, SettingsError> {
    let Some(url) = layers.find(env::WORKER_FALLBACK_URL) else { return Ok(None) };
    let key = "the endpoint of WORKER_FALLBACK_URL needs a key of its own";
    Ok(Some(Fallback {
        url: url.url()?,
        key: layers.required(env::WORKER_FALLBACK_KEY, key)?.secret(),
        model: layers.find(env::WORKER_FALLBACK_MODEL).map(|model| model.text()),
    }))
}

/// The limits of a job, all of them optional.
pub(super) fn budget(layers: &Layers) -> Result<Budget, SettingsError> {
    let tokens = |name| {
        let tokens = layers.find(name).map(|found| {
            let tokens = found.text().parse::<u64>().ok().filter(|n| (1..=TOKENS_MAX).contains(n));
            tokens.ok_or_else(|| {
                let shown = found.shown();
                found.invalid(&format!(
                    "must be a whole number from 1 to {TOKENS_MAX}, got {shown:?}"
                ))
            })
        });
        tokens.transpose()
    };
    let pricing = pricing(layers)?;
    let director = pricing.map(|_| director_price(layers)).transpose()?.flatten();
    let (of_job, left) = (tokens(env::WORKER_TOKEN_BUDGET)?, tokens(env::WORKER_TOKENS_LEFT)?);
    Ok(Budget { tokens: of_job, tokens_left: left, pricing, director })
}

/// The prices of the Director's model: wanted where costs are counted and there is a Director.
fn director_price(layers: &Layers) -> Result<Option<Price>, SettingsError> {
    if !director::is_there(layers)? {
        return Ok(None);
    }
    let purpose = "where WORKER_PRICE_INPUT is set, the Director's model has its price as well, in US \
                   dollars for a million tokens; AGENT_DIRECTOR=0 is a run without a Director";
    let usd = |name| layers.required(name, purpose)?.parse::<Usd>();
    Ok(Some(Price { input: usd(env::AGENT_PRICE_INPUT)?, output: usd(env::AGENT_PRICE_OUTPUT)? }))
}

fn pricing(layers: &Layers) -> Result<Option<Pricing>, SettingsError> {
    let usd = |name| layers.find(name).map(|found| found.parse::<Usd>()).transpose();
    let (limit, left) = (usd(env::WORKER_MONEY_BUDGET)?, usd(env::WORKER_MONEY_LEFT)?);
    match (usd(env::WORKER_PRICE_INPUT)?, usd(env::WORKER_PRICE_OUTPUT)?) {
        (Some(input), Some(output)) => Ok(Some(Pricing { input, output, limit, left })),
        (None, None) if limit.is_none() && left.is_none() => Ok(None),
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

#[cfg(test)]
mod tests {
    use super::super::Handover;
    use super::*;

    fn layers(settings: &[(&str, &str)]) -> Layers {
        Layers::new(Handover::of(settings, None)).unwrap()
    }

    fn refused(settings: &[(&str, &str)]) -> String {
        budget(&layers(settings)).unwrap_err().to_string()
    }

    #[test]
    fn a_job_without_limits_has_none() {
        assert_eq!(budget(&layers(&[])).unwrap(), Budget::default());
    }

    #[test]
    fn all_limits_are_read() {
        let settings = [
            ("WORKER_TOKEN_BUDGET", " 200000 "),
            ("WORKER_MONEY_BUDGET", "2.50"),
            ("WORKER_PRICE_INPUT", "3"),
            ("WORKER_PRICE_OUTPUT", "15"),
        ];
        let read = budget(&layers(&settings)).unwrap();
        let usd = |text: &str| text.parse::<Usd>().unwrap();
        let pricing =
            Pricing { input: usd("3"), output: usd("15"), limit: Some(usd("2.5")), left: None };
        let expected =
            Budget { tokens: Some(200_000), pricing: Some(pricing), ..Budget::default() };
        assert_eq!(read, expected);
    }

    #[test]
    fn money_is_not_counted_without_both_prices() {
        let money = ("WORKER_MONEY_BUDGET", "1");
        let (input, output) = (("WORKER_PRICE_INPUT", "1"), ("WORKER_PRICE_OUTPUT", "1"));
        for settings in [&[money][..], &[money, output], &[output]] {
            let error = refused(settings);
            assert!(error.starts_with("WORKER_PRICE_INPUT is not set"), "{error}");
        }
        assert!(refused(&[money, input]).starts_with("WORKER_PRICE_OUTPUT is not set"));
    }

    #[test]
    fn a_limit_that_is_no_number_is_refused_by_its_name() {
        for text in ["0", "-1", "1e6", "100k", "1.5", "1000000000001"] {
            let error = refused(&[("WORKER_TOKEN_BUDGET", text)]);
            assert!(error.contains("WORKER_TOKEN_BUDGET (from the environment)"), "{error}");
            assert!(error.contains(&format!("got {text:?}")), "{error}");
        }
        let error = refused(&[("WORKER_MONEY_BUDGET", "$5")]);
        assert!(error.contains("WORKER_MONEY_BUDGET") && error.contains("US dollars"), "{error}");
    }

    #[test]
    fn where_costs_are_counted_a_director_has_its_price() {
        let prices = [("WORKER_PRICE_INPUT", "1"), ("WORKER_PRICE_OUTPUT", "1")];
        let director = [("AGENT_MODEL", "m"), ("AGENT_LLM_URL", "http://llm.example")];
        let off = [("AGENT_DIRECTOR", "0")];
        for without in
            [[&prices[..], &director, &off].concat(), [&prices[..], &director[..1]].concat()]
        {
            assert_eq!(budget(&layers(&without)).unwrap().director, None);
        }
        let error = refused(&[&prices[..], &director].concat());
        assert!(error.starts_with("AGENT_PRICE_INPUT is not set"), "{error}");
        let own = [("AGENT_PRICE_INPUT", "2"), ("AGENT_PRICE_OUTPUT", "8")];
        let all = [&prices[..], &director, &own].concat();
        let read = budget(&layers(&all)).unwrap().director.unwrap();
        assert_eq!((read.input, read.output), ("2".parse().unwrap(), "8".parse().unwrap()));
        assert_eq!(budget(&layers(&director)).unwrap().director, None);
    }

    #[test]
    fn a_fallback_needs_a_key_of_its_own() {
        let url = ("WORKER_FALLBACK_URL", "https://other.example/v1");
        let (key, model) = (("WORKER_FALLBACK_API_KEY", "sk-2"), ("WORKER_FALLBACK_MODEL", "m2"));
        assert_eq!(fallback(&layers(&[key, model])).unwrap(), None);
        let error = fallback(&layers(&[url, ("WORKER_API_KEY", "sk-1")])).unwrap_err();
        assert!(error.to_string().starts_with("WORKER_FALLBACK_API_KEY is not set"), "{error}");
        let read = fallback(&layers(&[url, key, model])).unwrap().unwrap();
        assert_eq!((read.url.as_str(), read.model.as_deref()), (url.1, Some("m2")));
        assert_eq!(read.key, Secret::from("sk-2"));
    }

    #[test]
    fn a_gateway_of_its_own_needs_no_model() {
        let settings = [
            ("WORKER_LLM_URL", "https://llm.example.org/v1"),
            ("WORKER_API_KEY", "sk-real"),
            ("MODEL_GATEWAY_KEY", "placeholder"),
        ];
        let config = ModelGatewayConfig::read(&layers(&settings)).unwrap();
        assert_eq!(config.upstream.as_str(), "https://llm.example.org/v1");
        assert_eq!(config.placeholder, Secret::from("placeholder"));
        let error = ModelGatewayConfig::read(&layers(&settings[1..])).unwrap_err();
        assert!(error.to_string().contains("WORKER_LLM_URL is not set"), "{error}");
        let claude = [("WORKER_MODE", "claude-code"), settings[1], settings[2]];
        let config = ModelGatewayConfig::read(&layers(&claude)).unwrap();
        assert_eq!(config.upstream.as_str(), "https://api.anthropic.com/");
    }
}
