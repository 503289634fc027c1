//! Where settings of this program come from: arguments, files they name, environment. The only
//! reader of the environment.

mod behaviour;
mod embedding;
mod review;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use api_client::Secret;
use api_client::contract::env;
use directories::ProjectDirs;
use url::Url;

use crate::cli::{ServeArgs, Target};
use crate::embedding::EmbeddingConfig;
use crate::review::ReviewTerms;

pub(crate) use behaviour::Behaviour;
use behaviour::{LEASE_SEC, MAX_ATTEMPTS, ORIGINAL};

const DEFAULT_URL: &str = "http://127.0.0.1:5010";

/// A setting of this program is missing or wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {option} {}", path.display())]
    KeyFile {
        option: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{option} {} is empty", path.display())]
    EmptyKeyFile { option: &'static str, path: PathBuf },
    #[error("the key from {source_name} must be printable ASCII without spaces")]
    KeyCharacters { source_name: String },
    #[error(
        "listening on {listen} needs a key: set {}, give --key-file, or listen on 127.0.0.1",
        env::WORKER_API_KEY
    )]
    KeyNeeded { listen: SocketAddr },
    #[error("there is no home folder to keep the database in: give --db")]
    NoDataFolder,
    #[error("{name} {problem}, got {text:?}")]
    Value { name: &'static str, text: String, problem: String },
    #[error("the server's URL {text:?} must be an http or https URL without credentials")]
    Url { text: String },
    #[error(
        "{} (or --embedding-url) must be an http or https URL without credentials and query",
        embedding::URL
    )]
    EmbeddingUrl,
    #[error("{given} needs {missing} (or the options of these names)")]
    EmbeddingHalf { given: &'static str, missing: &'static str },
}

/// The names by which a key is given.
#[derive(Clone, Copy, Debug)]
struct KeyNames {
    option: &'static str,
    variable: &'static str,
}

const SERVER_KEY: KeyNames = KeyNames { option: "--key-file", variable: env::WORKER_API_KEY };

/// What this program reads from the environment.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    key: Option<Secret>,
    api_url: Option<String>,
    lease_sec: Option<String>,
    max_attempts: Option<String>,
    original: Option<String>,
    review_poll_sec: Option<String>,
    review_debounce_sec: Option<String>,
    review_attempts: Option<String>,
    review_backoff_sec: Option<String>,
    embedding_url: Option<String>,
    embedding_model: Option<String>,
    embedding_key: Option<Secret>,
    /// Which log records are shown, in the syntax of `tracing`.
    pub(crate) log_filter: Option<String>,
}

impl Environment {
    /// Blank values count as not set.
    pub(crate) fn read() -> Self {
        let value = |name| std::env::var(name).ok().filter(|v| !v.trim().is_empty());
        Self {
            key: value(env::WORKER_API_KEY).map(Secret::from),
            api_url: value(env::API_URL),
            lease_sec: value(LEASE_SEC),
            max_attempts: value(MAX_ATTEMPTS),
            original: value(ORIGINAL),
            review_poll_sec: value(review::POLL_SEC),
            review_debounce_sec: value(review::DEBOUNCE_SEC),
            review_attempts: value(review::ATTEMPTS),
            review_backoff_sec: value(review::BACKOFF_SEC),
            embedding_url: value(embedding::URL),
            embedding_model: value(embedding::MODEL),
            embedding_key: value(embedding::KEY).map(Secret::from),
            log_filter: value("RUST_LOG"),
        }
    }
}

/// How the server is to run.
#[derive(Debug)]
pub(crate) struct ServeConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) db: PathBuf,
    /// The key that callers need; always there unless `listen` is a loopback address.
    pub(crate) key: Option<Secret>,
    pub(crate) port_file: Option<PathBuf>,
    pub(crate) behaviour: Behaviour,
    /// When pull requests are looked at; the original's behaviour has no such thing.
    pub(crate) review: ReviewTerms,
    /// By which memory is searched by meaning too.
    pub(crate) embedding: Option<EmbeddingConfig>,
}

impl ServeConfig {
    pub(crate) fn resolve(args: ServeArgs, environment: Environment) -> Result<Self, ConfigError> {
        let behaviour = Behaviour::resolve(&args, &environment)?;
        let review = review::resolve(&args, &environment)?;
        let embedding = embedding::resolve(&args, &environment)?;
        let key = key(SERVER_KEY, args.key_file.as_deref(), environment.key)?;
        if key.is_none() && !args.listen.ip().to_canonical().is_loopback() {
            return Err(ConfigError::KeyNeeded { listen: args.listen });
        }
        Ok(Self {
            listen: args.listen,
            db: args.db.map_or_else(default_db, Ok)?,
            key,
            port_file: args.port_file,
            behaviour,
            review,
            embedding,
        })
    }
}

/// Which server a command talks to.
#[derive(Debug)]
pub(crate) struct ClientConfig {
    pub(crate) url: Url,
    pub(crate) key: Option<Secret>,
}

impl ClientConfig {
    pub(crate) fn resolve(target: &Target, environment: Environment) -> Result<Self, ConfigError> {
        let given = target.url.clone().or(environment.api_url);
        let text = given.unwrap_or_else(|| DEFAULT_URL.to_owned());
        let url = Url::parse(text.trim()).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
        });
        let Some(url) = url else {
            // The text may hold a password: of a URL with an @, only what follows it is shown.
            let shown = text.rsplit('@').next().unwrap_or_default();
            return Err(ConfigError::Url { text: shown.to_owned() });
        };
        let key = key(SERVER_KEY, target.key_file.as_deref(), environment.key)?;
        Ok(Self { url, key })
    }
}

/// Reads a value of the environment.
fn setting<T>(
    name: &'static str,
    text: Option<&str>,
    read: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let refused = |problem| ConfigError::Value { name, text: text.to_owned(), problem };
    read(text).map(Some).map_err(refused)
}

/// The key of the file, else that of the environment. White space around it is not part of it.
fn key(
    names: KeyNames,
    file: Option<&Path>,
    environment: Option<Secret>,
) -> Result<Option<Secret>, ConfigError> {
    let KeyNames { option, variable } = names;
    let (key, source_name) =
        match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|source| {
                    ConfigError::KeyFile { option, path: path.to_owned(), source }
                })?;
                (Secret::from(text), format!("{option} {}", path.display()))
            }
            None => match environment {
                Some(key) => (key, variable.to_owned()),
                None => return Ok(None),
            },
        };
    let trimmed = Secret::from(key.expose().trim());
    if trimmed.is_blank() {
        let path = file.unwrap_or(Path::new("")).to_owned();
        return Err(ConfigError::EmptyKeyFile { option, path });
    }
    if !trimmed.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConfigError::KeyCharacters { source_name });
    }
    Ok(Some(trimmed))
}

fn default_db() -> Result<PathBuf, ConfigError> {
    let folders = ProjectDirs::from("", "", "terarchitect").ok_or(ConfigError::NoDataFolder)?;
    Ok(folders.data_dir().join("app.db"))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn args() -> ServeArgs {
        ServeArgs {
            listen: "127.0.0.1:0".parse().unwrap(),
            db: Some("app.db".into()),
            key_file: None,
            port_file: None,
            lease_sec: None,
            max_attempts: None,
            original: false,
            review_poll_sec: None,
            review_debounce_sec: None,
            review_attempts: None,
            review_backoff_sec: None,
            embedding_url: None,
            embedding_model: None,
            embedding_key_file: None,
        }
    }

    fn serve(listen: &str, key: Option<&str>) -> Result<ServeConfig, ConfigError> {
        let args = ServeArgs { listen: listen.parse().unwrap(), ..args() };
        let environment = Environment { key: key.map(Secret::from), ..Environment::default() };
        ServeConfig::resolve(args, environment)
    }

    #[test]
    fn only_loopback_may_go_without_a_key() {
        for listen in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            assert!(serve(listen, None).is_ok(), "{listen}");
        }
        for listen in ["0.0.0.0:5010", "[::]:5010", "172.17.0.1:5010"] {
            let error = serve(listen, None).unwrap_err().to_string();
            assert!(error.contains(listen), "{error}");
            assert!(error.contains("TERARCHITECT_WORKER_API_KEY"), "{error}");
            assert!(serve(listen, Some("worker-key")).is_ok(), "{listen}");
        }
    }

    #[test]
    fn a_key_file_wins_over_the_environment_and_an_empty_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "from-file\n").unwrap();
        let found = key(SERVER_KEY, Some(&path), Some(Secret::from("from-env"))).unwrap();
        assert_eq!(found, Some(Secret::from("from-file")));
        std::fs::write(&path, " \n").unwrap();
        let error = key(SERVER_KEY, Some(&path), Some(Secret::from("from-env"))).unwrap_err();
        assert!(matches!(error, ConfigError::EmptyKeyFile { .. }));
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_refused_without_being_shown() {
        let error = key(SERVER_KEY, None, Some(Secret::from("worker\nkey"))).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("TERARCHITECT_WORKER_API_KEY"), "{text}");
        assert!(!text.contains("worker\n"), "{text}");
    }

    #[test]
    fn a_password_in_the_url_is_not_shown() {
        let target = Target {
            url: Some("http://me:hunter2@app:5010".to_owned()),
            key_file: None,
            json: false,
        };
        let error = ClientConfig::resolve(&target, Environment::default()).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
