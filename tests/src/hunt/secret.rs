//! The secrets of a job: random, and each to be told from the others.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use tempfile::TempDir;

use super::hit::{Hit, Place};
use super::pattern::Matcher;
use super::scene::Scene;
use crate::forge::ForgeApp;
use crate::harness::{CertificateAuthority, ClientFiles, Inbox, Keys, repo_name};

/// The GitHub App.
pub(super) const APP_ID: u64 = 12_345;
const APP_KEY: &str = include_str!("../../testdata/github-app.pem");
const APP_PUBLIC_KEY: &str = include_str!("../../testdata/github-app.public.pem");

/// How long its tokens are good for.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// Random characters of a value.
const LENGTH: usize = 40;

/// Tokens of the GitHub App that are known before it gets them: more than a short job needs.
const TOKENS: usize = 4;

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
pub(crate) struct Secret {
    /// By which it is told in the report.
    pub(crate) name: String,
    /// At least thirteen characters, of which the middle is looked for.
    pub(crate) value: String,
}

/// All the secrets of one deployment.
#[derive(Debug)]
pub(super) struct Secrets {
    pub(super) keys: Keys,
    /// What is shown to the app, in files of this folder.
    client: ClientFiles,
    folder: TempDir,
    /// Secrets that the app hands to its agents.
    of_app: Vec<(&'static str, Secret)>,
    /// Where agents may have a proxy of the operator's.
    proxy: Option<Secret>,
    /// In the path of the webhook's URL. This and the next two are the coordinator's alone.
    webhook: Secret,
    /// By which notifications are signed.
    signature: Secret,
    /// In a header for the collector of traces.
    collector: Secret,
    /// Where there is a GitHub App: its private key, by its lines, and the tokens it will get.
    github_app: Vec<Secret>,
    tokens: Vec<Secret>,
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
    pub(super) fn random(scene: Scene) -> Self {
        let value = |prefix| Secret::random("", prefix).value;
        let folder = TempDir::new().expect("a temporary folder");
        let mut secrets = Self {
            client: CertificateAuthority::new("clients").client_files(folder.path()),
            folder,
            keys: Keys { forge: value("ghp_"), worker_api: value(""), model: value("sk-") },
            of_app: vec![
                ("AGENT_API_KEY", Secret::random("director-key", "sk-ant-")),
                ("openai_api_key", Secret::random("openai-key", "sk-")),
                ("EMBEDDING_API_KEY", Secret::random("embedding-key", "")),
                ("MEMORY_LLM_API_KEY", Secret::random("memory-key", "")),
            ],
            // Egress that is guarded leaves no room for another proxy.
            proxy: (scene != Scene::Guarded).then(|| Secret::random(PROXY, SIGNS)),
            webhook: Secret::random("webhook-url", ""),
            signature: Secret::random("webhook-secret", ""),
            collector: Secret::random("collector-key", ""),
            github_app: Vec::new(),
            tokens: Vec::new(),
        };
        if scene == Scene::GithubApp {
            let lines = APP_KEY.lines().filter(|line| line.len() > LENGTH && !line.contains('-'));
            secrets.github_app = lines.map(|line| Secret::of("github-app-key", line)).collect();
            let token = |number| Secret::random(format!("installation-token-{number}"), "ghs_");
            secrets.tokens = (1..=TOKENS).map(token).collect();
        }
        secrets
    }

    pub(super) fn all(&self) -> Vec<Secret> {
        let of_coordinator = [&self.webhook, &self.signature, &self.collector].map(Clone::clone);
        self.of_agent().into_iter().chain(of_coordinator).collect()
    }

    /// Those that an agent has.
    pub(super) fn of_agent(&self) -> Vec<Secret> {
        let keys = [
            Secret::of("forge-token", &self.keys.forge),
            Secret::of("worker-api-key", &self.keys.worker_api),
            Secret::of("model-key", &self.keys.model),
            Secret::of("client-key", &self.client.secret),
        ];
        let of_app = self.of_app.iter().map(|(_, secret)| secret);
        let more = of_app.chain(&self.proxy).chain(&self.github_app).chain(&self.tokens);
        keys.into_iter().chain(more.cloned()).collect()
    }

    /// The coordinator's settings that hold some of them. Webhook and collector are this inbox.
    pub(super) fn settings(&self, inbox: &Inbox) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        // As an operator keeps them: what is in the environment itself stays there.
        let file = |name: &str, text: String| {
            let file = self.folder.path().join(name);
            std::fs::write(&file, text).expect("a file in a folder of ours");
            path(&file)
        };
        let webhook = format!("{}/services/{}", inbox.url(), self.webhook.value);
        let headers = format!("x-key={}", self.collector.value);
        vec![
            ("APP_CLIENT_CERT_FILE", path(&self.client.certificate)),
            ("APP_CLIENT_KEY_FILE", path(&self.client.key)),
            ("NOTIFY_WEBHOOK_URL_FILE", file("webhook", webhook)),
            ("NOTIFY_SECRET_FILE", file("signature", self.signature.value.clone())),
            ("NOTIFY_ON", "job_ended".to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", inbox.url()),
            ("OTEL_EXPORTER_OTLP_HEADERS_FILE", file("headers", headers)),
        ]
    }

    /// What is wrong with what the inbox got: nothing came there with its secret, or a secret in its text.
    pub(super) fn problems_of(&self, inbox: &Inbox, matcher: &Matcher) -> Vec<String> {
        let posted = inbox.posted();
        let told = posted.iter().any(|one| one.path.ends_with(&self.webhook.value));
        let traced = posted.iter().any(|one| one.header("x-key") == Some(&self.collector.value));
        let used = [("webhook", told), ("collector", traced)].into_iter();
        let unused = used.filter(|(_, used)| !used).map(|(name, _)| format!("no {name} was used"));
        let text: String = posted.into_iter().map(|one| one.body + "\n").collect();
        let (found, _) = matcher.search(text.as_bytes()).expect("a text can be read");
        let found = found.into_iter().map(|one| format!("{} is in what was posted", one.secret));
        unused.chain(found).collect()
    }

    /// The private key of the GitHub App.
    pub(super) const fn app_key() -> &'static str {
        APP_KEY
    }

    /// The GitHub App, as the forge is told of it.
    pub(super) fn forge_app(&self) -> Option<ForgeApp> {
        let tokens: Vec<String> = self.tokens.iter().map(|token| token.value.clone()).collect();
        (!tokens.is_empty()).then(|| {
            let app = ForgeApp::new(APP_ID, APP_PUBLIC_KEY, vec![repo_name()], TOKEN_LIFE);
            ForgeApp { first_tokens: tokens, ..app.expect("a key of ours") }
        })
    }

    /// The settings of the app that hold some of them.
    pub(super) fn app_settings(&self) -> Map<String, Value> {
        let pair =
            |(name, secret): &(&str, Secret)| ((*name).to_owned(), secret.value.clone().into());
        self.of_app.iter().map(pair).collect()
    }

    /// Lines of the coordinator's configuration file: a proxy that no URL of the job leads to.
    pub(super) fn config(&self) -> String {
        let Some(proxy) = &self.proxy else { return String::new() };
        let password: String =
            url::form_urlencoded::byte_serialize(proxy.value.as_bytes()).collect();
        format!("[agent.env]\nHTTPS_PROXY = \"http://me:{password}@proxy.invalid:3128\"\n")
    }
}
