//! What `coordinator` and `agent-runner` agree on: names of environment variables, the job
//! document on standard input, the exit codes, and the line by which the runner says it began.

pub mod env;
mod exit;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use url::Url;

use crate::Secret;

pub use self::exit::AgentExit;
pub use crate::hosts::{DEFAULT_REGISTRIES, default_model_hosts, director_host};

/// The settings that hold a URL which the agent opens. Where the agent runs in a container, a
/// loopback host in one of these (and in nothing else) is rewritten to reach the Docker host.
pub const URL_SETTINGS: [&str; 11] = [
    env::API_URL,
    env::REPO_URL,
    env::FORGE_API_URL,
    env::WORKER_LLM_URL,
    env::WORKER_FALLBACK_URL,
    env::AGENT_LLM_URL,
    env::AGENT_FALLBACK_URL,
    env::AGENT_OTLP_ENDPOINT,
    "EMBEDDING_SERVICE_URL",
    "MEMORY_EMBEDDING_BASE_URL",
    "MEMORY_LLM_BASE_URL",
];

/// The variables of proxies, and their other spelling.
pub const PROXIES: [(&str, &str); 2] =
    [(env::HTTP_PROXY, "http_proxy"), (env::HTTPS_PROXY, "https_proxy")];

/// The variable of what is reached without a proxy, in both spellings.
pub const NO_PROXIES: [&str; 2] = [env::NO_PROXY, "no_proxy"];

/// Longest `TERARCHITECT_DOCKER_RUN_ERROR`, in characters (the original's limit).
pub const DOCKER_RUN_ERROR_MAX_CHARS: usize = 8_000;

/// The first line that the runner writes to standard output. The coordinator repeats a job on the
/// host only while this line has not been seen: what began is never run twice.
pub const STARTED_LINE: &str = "agent-runner: started";

/// What the runner answers to a new token that it has taken.
pub const REFRESHED_LINE: &str = "taken";

/// The [`env::REFRESH_SOCKET`] of a run in a container.
pub const REFRESH_SOCKET_IN_CONTAINER: &str = "/run/agent-runner/refresh";

/// The [`env::OUTCOME_FILE`] of a run in a container.
pub const OUTCOME_FILE_IN_CONTAINER: &str = "/var/lib/agent-runner/outcome.json";

/// The [`env::TRANSCRIPT_FILE`] of a run in a container, beside its outcome.
pub const TRANSCRIPT_FILE_IN_CONTAINER: &str = "/var/lib/agent-runner/transcript.jsonl";

/// The [`env::AGENT_STATE_DIR`] of a run in a container: a volume of the ticket's.
pub const STATE_DIR_IN_CONTAINER: &str = "/var/lib/agent-state";

/// Longest transcript, in bytes. A longer one is not collected.
pub const TRANSCRIPT_MAX_BYTES: usize = 8 << 20;

/// The first line that a gateway writes to standard output: all that it offers can be had.
pub const GATEWAY_READY_LINE: &str = "agent-runner: gateway ready";

/// Ports of a gateway.
pub mod gateway_port {
    /// The HTTP proxy.
    pub const PROXY: u16 = 3128;
    /// Host names, by UDP and TCP.
    pub const NAMES: u16 = 53;
    /// The model.
    pub const MODEL: u16 = 8088;
}

/// Settings of a job that must not be seen in `docker inspect`: one JSON object, written to the
/// runner's standard input and closed. Keys are environment names.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct JobDocument(BTreeMap<String, Secret>);

impl JobDocument {
    /// Takes a name out.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Sets a name; a later value replaces an earlier one.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Secret>) {
        self.0.insert(name.into(), value.into());
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }

    /// All names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The values that are secret by their name, or by credentials in them, for redaction.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let secret = |(name, value): &(&str, &Secret)| is_secret(name, value);
        self.iter().filter(secret).map(|(_, value)| value)
    }

    /// The JSON text for the runner's standard input: as secret as its values.
    #[must_use]
    pub fn to_stdin(&self) -> Secret {
        let plain: BTreeMap<&str, &str> = self.iter().map(|(k, v)| (k, v.expose())).collect();
        // A map of strings always serialises.
        Secret::from(serde_json::to_string(&plain).unwrap_or_default())
    }
}

impl fmt::Debug for JobDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<N: Into<String>, V: Into<Secret>> Extend<(N, V)> for JobDocument {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, items: I) {
        for (name, value) in items {
            self.set(name, value);
        }
    }
}

/// Whether a value is to be treated as a secret: by its name, or as a URL with credentials in it.
#[must_use]
pub fn is_secret(name: &str, value: &Secret) -> bool {
    is_secret_name(name) || has_credentials(name, value.expose().trim())
}

/// Names that sound like one of a secret, and are of a number and of a program.
const NOT_SECRET: [&str; 3] = ["WORKER_TOKEN_BUDGET", "WORKER_TOKENS_LEFT", "SECRET_COMMAND"];

/// Names that do not sound like one of a secret, and are: a webhook's URL is its key, and headers carry one.
const SECRET: [&str; 2] = ["NOTIFY_WEBHOOK_URL", env::OTLP_HEADERS];

/// Whether the value of an environment name is to be treated as a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if NOT_SECRET.contains(&name.as_str()) {
        return false;
    }
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"].iter().any(|part| name.contains(part))
        || name.ends_with("KEY")
        || name.ends_with("KEYS")
        || SECRET.contains(&name.as_str())
}

/// Whether a text is a URL with a user name or password in it, as that of a proxy may be. A proxy's
/// needs no scheme, and what is no URL at all may still be sent to it as a password.
fn has_credentials(name: &str, text: &str) -> bool {
    let is_proxy = name.to_ascii_uppercase().ends_with("_PROXY");
    if is_proxy && !text.contains("://") {
        return text.contains('@');
    }
    match Url::parse(text) {
        Ok(url) => !url.username().is_empty() || url.password().is_some(),
        Err(_) => is_proxy && text.contains('@'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Redactor;

    #[test]
    fn the_settings_the_app_sends_are_told_apart_by_name() {
        for name in ["GITHUB_TOKEN", "GH_TOKEN", "AGENT_API_KEY", "github_agent_token"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "WORKER_MODE",
            "AGENT_LLM_URL",
            "GIT_USER_NAME",
            "REPO_URL",
            "COMMENT_BODY",
            "WORKER_TOKEN_BUDGET",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn a_proxy_url_with_a_password_counts_as_a_secret() {
        let mut document = JobDocument::default();
        document.set("HTTPS_PROXY", "http://me:pass-word@proxy:3128");
        document.set("HTTP_PROXY", "http://proxy:3128");
        assert_eq!(document.secrets().count(), 1);
    }

    #[test]
    fn a_proxys_password_is_hidden_whether_its_address_has_a_scheme_or_not() {
        for address in ["me:hunter22@proxy:3128", "a_b:hunter22@proxy", "http://me:hunter22@proxy"]
        {
            let mut document = JobDocument::default();
            document.set("https_proxy", address);
            document.set("NO_PROXY", "localhost,.corp");
            assert_eq!(document.secrets().count(), 1, "{address}");
            let hidden = Redactor::new(document.secrets());
            for said in [format!("https_proxy={address}"), "password hunter22".to_owned()] {
                assert!(!hidden.redact(&said).contains("hunter22"), "{said}");
            }
        }
        let text = Secret::from("mail:me@example.org");
        assert!(!is_secret("COMMENT_BODY", &text), "only a proxy's address goes without a scheme");
    }

    #[test]
    fn a_job_document_survives_the_pipe_and_shows_names_only() {
        let mut document = JobDocument::default();
        document.set("GITHUB_TOKEN", "ghp_very\"secret\n");
        let text = document.to_stdin();
        let back: JobDocument = serde_json::from_str(text.expose()).unwrap();
        assert_eq!(back.get("GITHUB_TOKEN"), document.get("GITHUB_TOKEN"));
        assert_eq!(format!("{document:?}"), "{\"GITHUB_TOKEN\"}");
    }
}
