//! Logins to image registries, from Docker's own configuration: `config.json` as `docker login`
//! writes it, and the credential helpers that it names.
//!
//! It is read anew for each pull, so that a new login counts at once. No message quotes what is in the
//! file, or what a helper printed as a login.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use api_client::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::config::settings;

/// The name of Docker Hub in logins.
const HUB: &str = "https://index.docker.io/v1/";

/// Other names of it.
const OF_HUB: [&str; 4] = ["docker.io", "index.docker.io", "registry-1.docker.io", HUB];

/// Helpers may ask a service on the network.
const HELPER_LIMIT: Duration = Duration::from_secs(30);

/// The user name by which a helper says that its secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// What a helper says when it has no login for a registry.
const NO_LOGIN: &str = "credentials not found";

/// Longest part of a helper's words that an error quotes, in characters.
const SAID_MAX_CHARS: usize = 200;

/// A login to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// A user and their password, or what stands for it.
    Password { user: String, password: Secret },
    /// A token that says who we are.
    IdentityToken(Secret),
}

/// A login that is configured cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error("cannot read the registry logins in {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is no configuration of Docker (line {line}): mend or remove it", path.display())]
    Form { path: PathBuf, line: usize },
    #[error("the login to {registry} in {} is not one of user and password", path.display())]
    Auth { path: PathBuf, registry: String },
    #[error("docker-credential-{helper} did not tell the login to {registry}: {problem}")]
    Helper { helper: String, registry: String, problem: String },
}

/// What is read of Docker's configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: HashMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: HashMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Auth {
    /// User and password, with a colon between them, in base64.
    auth: Option<Secret>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<Secret>,
}

/// What a helper answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: Secret,
}

/// The login for an image's registry; none where none is configured. `folder` is Docker's own
/// configuration folder.
pub(crate) async fn login_for(folder: &Path, image: &str) -> Result<Option<Login>, LoginError> {
    login_by(folder, image, |helper| format!("docker-credential-{helper}")).await
}

async fn login_by(
    folder: &Path,
    image: &str,
    program_of: impl Fn(&str) -> String,
) -> Result<Option<Login>, LoginError> {
    let path = folder.join("config.json");
    let config = read(&path).await?;
    let registry = registry_of(image);
    if let Some(helper) = config.helper_for(&registry) {
        let told = ask(&program_of(helper), &registry, folder).await;
        let told = told.map_err(|problem| LoginError::Helper {
            helper: helper.to_owned(),
            registry: registry.clone(),
            problem,
        })?;
        if told.is_some() {
            return Ok(told);
        }
    }
    let Some(auth) = config.auth_for(&registry) else { return Ok(None) };
    auth.login().map_err(|NoLogin| LoginError::Auth { path, registry })
}

async fn read(path: &Path) -> Result<DockerConfig, LoginError> {
    match tokio::fs::read(path).await {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| {
            // Its own message can quote a login.
            LoginError::Form { path: path.to_owned(), line: error.line() }
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(DockerConfig::default()),
        Err(source) => Err(LoginError::Read { path: path.to_owned(), source }),
    }
}

/// The registry of an image, by the name that logins have for it.
fn registry_of(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => registry_name(host),
        _ => HUB.to_owned(),
    }
}

/// The name of a registry, from one by which a login may have been stored: with or without scheme and
/// path.
fn registry_name(stored: &str) -> String {
    if OF_HUB.contains(&stored) {
        return HUB.to_owned();
    }
    let name = stored.strip_prefix("https://").or_else(|| stored.strip_prefix("http://"));
    let name = name.unwrap_or(stored);
    let host = name.split_once('/').map_or(name, |(host, _)| host);
    if OF_HUB.contains(&host) { HUB.to_owned() } else { host.to_owned() }
}

impl DockerConfig {
    /// The helper that is asked for a registry's login.
    fn helper_for(&self, registry: &str) -> Option<&str> {
        let own = self.cred_helpers.iter().find(|(name, _)| registry_name(name) == registry);
        let helper = own.map(|(_, helper)| helper).or(self.creds_store.as_ref())?;
        (!helper.is_empty()).then_some(helper)
    }

    /// The login that stands in the file itself; an exact name comes before a similar one.
    fn auth_for(&self, registry: &str) -> Option<&Auth> {
        let similar =
            || Some(self.auths.iter().find(|(name, _)| registry_name(name) == registry)?.1);
        self.auths.get(registry).or_else(similar)
    }
}

/// What stands in the file is no user and password.
struct NoLogin;

impl Auth {
    /// None where a helper keeps it: then the entry is empty.
    fn login(&self) -> Result<Option<Login>, NoLogin> {
        let given = |secret: &Option<Secret>| secret.clone().filter(|secret| !secret.is_blank());
        if let Some(token) = given(&self.identity_token) {
            return Ok(Some(Login::IdentityToken(token)));
        }
        let Some(auth) = given(&self.auth) else { return Ok(None) };
        let bytes = STANDARD.decode(auth.expose().trim()).map_err(|_| NoLogin)?;
        // Some programs fill it up with zeros.
        let text = String::from_utf8(bytes).map_err(|_| NoLogin)?;
        let (user, password) = text.trim_end_matches('\0').split_once(':').ok_or(NoLogin)?;
        Ok(Some(Login::Password { user: user.to_owned(), password: Secret::from(password) }))
    }
}

/// Asks a helper; none where it has no login for the registry, else a problem in words.
async fn ask(program: &str, registry: &str, folder: &Path) -> Result<Option<Login>, String> {
    let output = timeout(HELPER_LIMIT, run(program, registry, folder)).await;
    let output = output
        .map_err(|_| format!("it did not answer within {} s", HELPER_LIMIT.as_secs()))?
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no such program in PATH".to_owned(),
            _ => error.to_string(),
        })?;
    if !output.status.success() {
        // By the protocol, what is wrong is told on standard output.
        let said = String::from_utf8_lossy(&output.stdout);
        if said.contains(NO_LOGIN) {
            return Ok(None);
        }
        let said: String = said.trim().chars().take(SAID_MAX_CHARS).collect();
        return Err(format!("it ended with {}: {said}", output.status));
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|_| "its answer has no Username and Secret".to_owned())?;
    Ok(Some(match answer {
        HelperAnswer { username, secret } if username == TOKEN_USER => Login::IdentityToken(secret),
        HelperAnswer { username, secret } => Login::Password { user: username, password: secret },
    }))
}

/// Runs a helper with our environment but for our own secrets.
async fn run(program: &str, registry: &str, folder: &Path) -> io::Result<Output> {
    let mut command = Command::new(program);
    for secret in settings().filter(|setting| setting.is_secret()) {
        for name in secret.variables() {
            command.env_remove(name).env_remove(format!("{name}_FILE"));
        }
    }
    let mut child = command
        .arg("get")
        .env("DOCKER_CONFIG", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not listen tells why by its end.
        let _written = input.write_all(registry.as_bytes()).await;
    }
    child.wait_with_output().await
}

#[cfg(test)]
mod tests;
