//! The secrets of a job: random, and each to be told from the others.

use serde_json::{Map, Value};

use super::hit::{Hit, Place};
use crate::harness::Keys;

/// Random characters of a value.
const LENGTH: usize = 40;

/// Signs that URLs, JSON and HTML each write in a way of their own.
const SIGNS: &str = "/+\"<&%";

/// The password in the URL of a proxy.
const PROXY: &str = "proxy-password";

/// Whether this is where a secret has to be: the programs of a worker read the URL of their proxy in
/// their environment, as docs/security.md says.
pub(super) fn is_handed_on(hit: &Hit) -> bool {
    hit.secret == PROXY && hit.place == Place::Environment
}

/// One secret.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    /// By which it is told in the report.
    pub(super) name: String,
    pub(super) value: String,
}

/// All the secrets of one deployment.
#[derive(Clone, Debug)]
pub(super) struct Secrets {
    pub(super) keys: Keys,
    /// Secrets that the app hands to its agents.
    of_app: Vec<(&'static str, Secret)>,
    proxy: Secret,
}

impl Secret {
    pub(super) fn random(name: impl Into<String>, prefix: &str) -> Self {
        let letters: String = (0..LENGTH).map(|_| fastrand::alphanumeric()).collect();
        Self { name: name.into(), value: format!("{prefix}{letters}") }
    }

    fn of(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned() }
    }
}

impl Secrets {
    pub(super) fn random() -> Self {
        let value = |prefix| Secret::random("", prefix).value;
        Self {
            keys: Keys { forge: value("ghp_"), worker_api: value(""), model: value("sk-") },
            of_app: vec![
                ("AGENT_API_KEY", Secret::random("director-key", "sk-ant-")),
                ("openai_api_key", Secret::random("openai-key", "sk-")),
                ("EMBEDDING_API_KEY", Secret::random("embedding-key", "")),
                ("MEMORY_LLM_API_KEY", Secret::random("memory-key", "")),
            ],
            proxy: Secret::random(PROXY, SIGNS),
        }
    }

    pub(super) fn all(&self) -> Vec<Secret> {
        let keys = [
            Secret::of("forge-token", &self.keys.forge),
            Secret::of("worker-api-key", &self.keys.worker_api),
            Secret::of("model-key", &self.keys.model),
            self.proxy.clone(),
        ];
        keys.into_iter().chain(self.of_app.iter().map(|(_, secret)| secret.clone())).collect()
    }

    /// The settings of the app that hold some of them.
    pub(super) fn app_settings(&self) -> Map<String, Value> {
        let pair =
            |(name, secret): &(&str, Secret)| ((*name).to_owned(), secret.value.clone().into());
        self.of_app.iter().map(pair).collect()
    }

    /// Lines of the coordinator's configuration file: a proxy that no URL of the job leads to.
    pub(super) fn config(&self) -> String {
        let password: String =
            url::form_urlencoded::byte_serialize(self.proxy.value.as_bytes()).collect();
        format!("[agent.env]\nHTTPS_PROXY = \"http://me:{password}@proxy.invalid:3128\"\n")
    }
}
