//! What was given to the process that is started from outside: the settings of its environment and
//! the job document. It is handed on in memory, as standard input of the processes that follow.
//!
//! Invariant: this is the only file that reads the process environment, and only the first process
//! does. It then replaces itself (see [`init`](crate::init)), so that from there on no process of ours
//! has a secret in its environment, not even pid 1 of `docker run -e …`: whatever the job starts finds
//! [`PLAIN_NAMES`] in `/proc/<pid>/environ` and nothing else. The inner process empties the memory when
//! it has read it. The exceptions are the credential helper, which finds its socket by a variable, and the
//! doctor, which takes the plain names for its CLIs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::process;

use api_client::Secret;
use api_client::contract::{JobDocument, env, is_secret, is_secret_name};
use api_client::tls::ExtraRoots;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signalfd::SignalFd;
use nix::unistd::ftruncate;
use serde::{Deserialize, Serialize};

use super::document::{self, DOCUMENT_MAX, DocumentError};
use super::trust::{self, BUNDLE_NAMES, BundleGuard};
use super::{SettingsError, network};

/// The value of `TERARCHITECT_JOB_DOCUMENT` that stands for standard input.
const FROM_STDIN: &str = "stdin";

/// Names of ordinary process life, none of them secret: where programs are, language, proxies,
/// certificates. Our later processes and the worker get these and no others.
pub(crate) const PLAIN_NAMES: [&str; 26] = [
    "ALL_PROXY",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "NODE_EXTRA_CA_CERTS",
    "NODE_USE_ENV_PROXY",
    "NO_PROXY",
    "PATH",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "RUST_BACKTRACE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The names that are settings of ours.
pub(super) const SETTING_NAMES: [&str; 83] = [
    env::API_URL,
    env::WORKER_API_KEY,
    env::JOB_ID,
    env::CLAIM_ID,
    env::JOB_KIND,
    env::TICKET_ID,
    env::PROJECT_ID,
    env::REPO_URL,
    env::TASK,
    env::GITHUB_TOKEN,
    env::GH_TOKEN,
    env::FORGE,
    env::FORGE_API_URL,
    env::REFRESH_SOCKET,
    env::PR_NUMBER,
    env::COMMENT_BODY,
    env::GITHUB_COMMENT_ID,
    env::AGENT_WORKSPACE,
    env::WORKER_MODE,
    env::WORKER_LLM_URL,
    env::WORKER_MODEL,
    env::WORKER_LLM_KEY,
    env::WORKER_FALLBACK_URL,
    env::WORKER_FALLBACK_KEY,
    env::WORKER_FALLBACK_MODEL,
    env::WORKER_TIMEOUT_SEC,
    env::WORKER_MODELS,
    env::WORKER_TOKEN_BUDGET,
    env::WORKER_MONEY_BUDGET,
    env::WORKER_TOKENS_LEFT,
    env::WORKER_MONEY_LEFT,
    env::WORKER_PRICE_INPUT,
    env::WORKER_PRICE_OUTPUT,
    env::MODEL_GATEWAY_KEY,
    env::AGENT_PROVIDER,
    env::AGENT_LLM_URL,
    env::AGENT_DIRECTOR,
    env::AGENT_MODEL,
    env::AGENT_LLM_KEY,
    env::AGENT_FALLBACK_PROVIDER,
    env::AGENT_FALLBACK_URL,
    env::AGENT_FALLBACK_MODEL,
    env::AGENT_FALLBACK_KEY,
    env::AGENT_TIMEOUT_SEC,
    env::AGENT_MAX_OUTPUT,
    env::AGENT_MAX_CONTEXT,
    env::AGENT_MAX_TURNS,
    env::AGENT_MAX_PLAN_REVIEWS,
    env::AGENT_TIME_BUDGET_SEC,
    env::AGENT_PRICE_INPUT,
    env::AGENT_PRICE_OUTPUT,
    env::AGENT_PROMPTS_DIR,
    env::GIT_USER_NAME,
    env::GIT_USER_EMAIL,
    env::DOCKER_RUN_ERROR,
    env::AGENT_DOCKER_MODE,
    env::AGENT_CACHE_DOCKER,
    env::AGENT_CACHE_GIT,
    env::AGENT_ON_HOST,
    env::AGENT_STATE_DIR,
    env::OUTCOME_FILE,
    env::TRANSCRIPT_FILE,
    env::AGENT_IMAGE,
    env::AGENT_RESCUE,
    env::AGENT_PROJECT_MEMORY,
    env::AGENT_REVIEW_AUTHORS,
    env::AGENT_REVIEW_KEY,
    env::AGENT_EGRESS,
    env::AGENT_EGRESS_ALLOW,
    env::AGENT_EGRESS_TRUSTED,
    env::AGENT_EGRESS_LEARN,
    env::EXTRA_CA,
    env::APP_CLIENT_CERT,
    env::APP_CLIENT_KEY,
    env::JOB_DOCUMENT,
    super::WORKER_STALL_SEC,
    super::DOCKER_HOST,
    super::LOG_LEVEL,
    super::RUST_LOG,
    env::LOG_FORMAT,
    env::TRACEPARENT,
    env::AGENT_OTLP_ENDPOINT,
    env::OTLP_ENDPOINT,
];

/// The plain names that may come with the job document as well.
pub(super) const PROXY_NAMES: [&str; 9] = [
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NODE_USE_ENV_PROXY",
    "NO_PROXY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Everything the first process was given.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Handover {
    environment: BTreeMap<String, Text>,
    /// The job document as it was read: judged by the inner process, which can report.
    document: Option<Text>,
    /// The file with all certificates that are trusted, where we made one.
    #[serde(default)]
    bundle: Option<PathBuf>,
    /// Whether the outer process is pid 1, the first of a container.
    pub(super) outer_is_pid_1: bool,
}

/// A secret that may be written to the memory between our processes, and nowhere else.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Text(pub(super) Secret);

impl Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl Handover {
    /// Reads the environment of this process, and standard input when a job document is announced.
    /// `stop` shows the signals that end a run.
    ///
    /// # Errors
    /// When the job document cannot be had.
    pub(crate) fn from_process(stop: &SignalFd) -> Result<Self, DocumentError> {
        let environment: BTreeMap<String, Text> = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok()?;
                let wanted = PLAIN_NAMES.contains(&name.as_str())
                    || SETTING_NAMES.contains(&name.as_str())
                    || is_secret_name(&name);
                wanted.then(|| (name, text(value.to_string_lossy().into_owned())))
            })
            .collect();
        let announced =
            environment.get(env::JOB_DOCUMENT).is_some_and(|value| value.0.expose() == FROM_STDIN);
        let document = announced.then(|| document::read(stop)).transpose()?.map(Text);
        let outer_is_pid_1 = process::id() == 1;
        let mut handover = Self { environment, document, bundle: None, outer_is_pid_1 };
        handover.take_proxies();
        Ok(handover)
    }

    /// Proxies become environment.
    fn take_proxies(&mut self) {
        let document = self.given();
        network::take_proxies(&mut self.environment, document.as_ref());
    }

    /// Has our own later processes, and all that they start, trust the certificates that are given beside
    /// the system's. Those that cannot be read are judged by the inner process.
    pub(crate) fn trust_extra_certificates(&mut self) {
        let document = self.given();
        let of_document = document.as_ref().and_then(|document| document.get(env::EXTRA_CA));
        let extra = self.environment(env::EXTRA_CA).filter(|pem| !pem.is_blank()).or(of_document);
        let Some(roots) = extra.and_then(|pem| ExtraRoots::from_pem(pem.expose()).ok()) else {
            return;
        };
        let given = BUNDLE_NAMES.iter().filter_map(|name| self.environment(name));
        match trust::write_bundle(roots.pem(), given.map(Secret::expose)) {
            Ok(path) => {
                for name in BUNDLE_NAMES {
                    let path = path.to_string_lossy().into_owned();
                    self.environment.insert(name.to_owned(), text(path));
                }
                self.bundle = Some(path);
            }
            Err(error) => {
                tracing::error!(%error, "the certificates of {} cannot be kept", env::EXTRA_CA);
            }
        }
        if self.outer_is_pid_1 {
            trust::add_to_system(roots.pem());
        }
    }

    /// Removes the file with certificates when it is dropped.
    pub(crate) fn bundle_guard(&self) -> Option<BundleGuard> {
        self.bundle.clone().map(BundleGuard::of)
    }

    /// The job document, where it can be read; if not, the inner process says so.
    fn given(&self) -> Option<JobDocument> {
        serde_json::from_str(self.document.as_ref()?.0.expose()).ok()
    }

    /// Takes over what the first process left on standard input, and empties it.
    ///
    /// # Errors
    /// When standard input does not hold it: the inner process was started by hand.
    pub(crate) fn take_over() -> io::Result<Self> {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text)?;
        let text = Secret::from(text);
        ftruncate(io::stdin(), 0)?;
        serde_json::from_str(text.expose()).map_err(io::Error::other)
    }

    /// An unnamed file in memory that holds everything, to become standard input.
    ///
    /// # Errors
    /// When the system has no such memory.
    pub(crate) fn to_memory(&self) -> io::Result<File> {
        let mut memory = File::from(memfd_create(c"handover", MFdFlags::MFD_CLOEXEC)?);
        let text = serde_json::to_string(self).map(Secret::from).map_err(io::Error::other)?;
        memory.write_all(text.expose().as_bytes())?;
        memory.rewind()?;
        Ok(memory)
    }

    /// The part of the environment that is handed on as environment.
    pub(crate) fn plain(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment
            .iter()
            .filter(|(name, _)| PLAIN_NAMES.contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value.0.expose()))
    }

    /// The values that are secret by their name, or by credentials in them.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let secret = |(name, value): &(&String, &Text)| is_secret(name, &value.0);
        self.environment.iter().filter(secret).map(|(_, value)| &value.0)
    }

    pub(super) fn environment(&self, name: &str) -> Option<&Secret> {
        self.environment.get(name).map(|value| &value.0)
    }

    pub(super) fn document(&self) -> Result<Option<&Secret>, SettingsError> {
        let announced = self.environment(env::JOB_DOCUMENT).map(Secret::expose);
        match (announced, &self.document) {
            (Some(FROM_STDIN), Some(document)) if document.0.expose().len() > DOCUMENT_MAX => {
                Err(SettingsError::DocumentTooLong { max: DOCUMENT_MAX })
            }
            (Some(FROM_STDIN), document) => Ok(document.as_ref().map(|text| &text.0)),
            (None, _) => Ok(None),
            (Some(other), _) if other.trim().is_empty() => Ok(None),
            (Some(other), _) => Err(SettingsError::DocumentSource { text: other.to_owned() }),
        }
    }

    #[cfg(test)]
    pub(crate) fn of(environment: &[(&str, &str)], document: Option<&str>) -> Self {
        let mut environment: BTreeMap<String, Text> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), text((*value).to_owned())))
            .collect();
        if document.is_some() {
            environment.insert(env::JOB_DOCUMENT.to_owned(), text(FROM_STDIN.to_owned()));
        }
        Self {
            environment,
            document: document.map(|document| text(document.to_owned())),
            bundle: None,
            outer_is_pid_1: false,
        }
    }
}

pub(super) fn text(value: String) -> Text {
    Text(Secret::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_handed_on_as_environment() {
        let handover =
            Handover::of(&[("PATH", "/bin"), ("GITHUB_TOKEN", "ghp_1"), ("TICKET_ID", "x")], None);
        assert_eq!(handover.plain().collect::<Vec<_>>(), [("PATH", "/bin")]);
    }

    #[test]
    fn no_plain_name_is_a_secret_one() {
        for name in PLAIN_NAMES {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn the_memory_carries_everything() {
        let handover = Handover::of(&[("GITHUB_TOKEN", "a\"b\n")], Some("{}"));
        let back: Handover = serde_json::from_reader(handover.to_memory().unwrap()).unwrap();
        let token = back.environment("GITHUB_TOKEN").map(Secret::expose);
        assert_eq!(token, Some("a\"b\n"));
        assert_eq!(back.document().unwrap().map(Secret::expose), Some("{}"));
    }

    #[test]
    fn proxies_of_the_document_become_environment_and_nothing_else_of_it_does() {
        let document = r#"{"HTTPS_PROXY":"http://p:1","NO_PROXY":"x","PATH":"/evil","HOME":"/x"}"#;
        let mut handover = Handover::of(&[("PATH", "/bin"), ("NO_PROXY", "local")], Some(document));
        handover.take_proxies();
        let plain: Vec<_> = handover.plain().collect();
        let expected = [
            ("HTTPS_PROXY", "http://p:1"),
            ("NODE_USE_ENV_PROXY", "1"),
            ("NO_PROXY", "local"),
            ("PATH", "/bin"),
            ("https_proxy", "http://p:1"),
            ("no_proxy", "local"),
        ];
        assert_eq!(plain, expected);
    }

    #[test]
    fn a_proxy_with_a_password_is_a_secret() {
        let proxies = [("HTTPS_PROXY", "http://me:pass-word@p:1"), ("HTTP_PROXY", "http://p:1")];
        let handover = Handover::of(&proxies, None);
        let secrets: Vec<&str> = handover.secrets().map(Secret::expose).collect();
        assert_eq!(secrets, ["http://me:pass-word@p:1"]);
    }

    #[test]
    fn a_document_over_the_limit_is_refused() {
        let handover = Handover::of(&[], Some(&"x".repeat(DOCUMENT_MAX + 1)));
        let error = handover.document().unwrap_err().to_string();
        assert!(error.contains("longer than"), "{error}");
    }
}
