//! The endpoint that tells what texts mean, where there is one.

use url::Url;

use super::{ConfigError, Environment, KeyNames, key};
use crate::cli::ServeArgs;
use crate::embedding::EmbeddingConfig;

pub(super) const URL: &str = "TERARCHITECT_APP_EMBEDDING_URL";
pub(super) const MODEL: &str = "TERARCHITECT_APP_EMBEDDING_MODEL";
pub(super) const KEY: &str = "TERARCHITECT_APP_EMBEDDING_KEY";

const KEY_NAMES: KeyNames = KeyNames { option: "--embedding-key-file", variable: KEY };

/// Arguments win over the environment. Without a URL there is no endpoint.
pub(super) fn resolve(
    args: &ServeArgs,
    environment: &Environment,
) -> Result<Option<EmbeddingConfig>, ConfigError> {
    let url = args.embedding_url.as_ref().or(environment.embedding_url.as_ref());
    let model = args.embedding_model.as_ref().or(environment.embedding_model.as_ref());
    match (url, model) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ConfigError::EmbeddingHalf { given: MODEL, missing: URL }),
        (Some(_), None) => Err(ConfigError::EmbeddingHalf { given: URL, missing: MODEL }),
        (Some(url), Some(model)) => {
            let key_file = args.embedding_key_file.as_deref();
            let key = key(KEY_NAMES, key_file, environment.embedding_key.clone())?;
            Ok(Some(EmbeddingConfig { url: base(url)?, model: model.trim().to_owned(), key }))
        }
    }
}

fn base(text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text.trim()).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
    });
    // Not shown: it may hold a password.
    url.ok_or(ConfigError::EmbeddingUrl)
}

#[cfg(test)]
mod tests {
    use api_client::Secret;

    use super::super::tests::args;
    use super::*;

    fn environment(url: &str, model: &str) -> Environment {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Environment {
            embedding_url: given(url),
            embedding_model: given(model),
            ..Environment::default()
        }
    }

    #[test]
    fn arguments_win_over_the_environment_and_a_key_file_over_its_variable() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "from-file\n").unwrap();
        let args = ServeArgs {
            embedding_model: Some("m-2".to_owned()),
            embedding_key_file: Some(file),
            ..args()
        };
        let environment = Environment {
            embedding_key: Some(Secret::from("from-env")),
            ..environment("http://127.0.0.1:9/v1", "m-1")
        };
        let config = resolve(&args, &environment).unwrap().unwrap();
        assert_eq!(config.model, "m-2");
        assert_eq!(config.key, Some(Secret::from("from-file")));
        assert!(resolve(&super::super::tests::args(), &Environment::default()).unwrap().is_none());
    }

    #[test]
    fn half_an_endpoint_is_refused_with_what_is_missing() {
        for (url, model, missing) in [("http://e/v1", "", MODEL), ("", "m-1", URL)] {
            let error = resolve(&args(), &environment(url, model)).unwrap_err().to_string();
            assert!(error.contains(&format!("needs {missing}")), "{error}");
        }
    }

    #[test]
    fn a_wrong_url_is_refused_and_its_password_not_shown() {
        for url in ["http://me:hunter2@e/v1", "ftp://e", "e/v1", "http://e/v1?key=hunter2"] {
            let error = resolve(&args(), &environment(url, "m-1")).unwrap_err().to_string();
            assert!(error.starts_with(URL) && !error.contains("hunter2"), "{error}");
        }
    }
}
