//! The commands' way to a running server. Everything is asked over HTTP, as any other caller does.

use std::time::Duration;

use api_client::Secret;
use api_client::http::{describe, http_client};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use crate::config::ClientConfig;

const TIME_LIMIT: Duration = Duration::from_secs(60);

/// A command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error("cannot set up HTTP")]
    Http(#[source] reqwest::Error),
    #[error("no answer from {url} ({problem}); is `terarchitect-app serve` running there?")]
    Unreachable { url: Url, problem: String },
    #[error(
        "{url} refused the key: {message}; give the server's key in TERARCHITECT_WORKER_API_KEY"
    )]
    Unauthorised { url: Url, message: String },
    #[error("{message} ({status})")]
    Refused { status: StatusCode, message: String },
    #[error("cannot read the answer of {url}; is it a terarchitect-app?")]
    Malformed {
        url: Url,
        #[source]
        source: serde_json::Error,
    },
}

/// A server.
#[derive(Debug)]
pub(crate) struct Remote {
    url: Url,
    key: Option<Secret>,
    http: reqwest::Client,
}

impl Remote {
    pub(crate) fn new(config: ClientConfig) -> Result<Self, RemoteError> {
        let agent = concat!("terarchitect-app/", env!("CARGO_PKG_VERSION"));
        Ok(Self {
            url: config.url,
            key: config.key,
            http: http_client(agent).build().map_err(RemoteError::Http)?,
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, RemoteError> {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value, RemoteError> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Result<Value, RemoteError> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Result<Value, RemoteError> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// Asks for something to be gone.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), RemoteError> {
        self.send(Method::DELETE, path, None).await.map(drop)
    }

    /// The answer as a type; for the part of it that is shown to people.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(
        &self,
        value: &Value,
    ) -> Result<T, RemoteError> {
        T::deserialize(value).map_err(|source| self.malformed(source))
    }

    /// `path` begins with `/api` and may have a query; a path prefix of the base URL is kept.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, RemoteError> {
        let mut url = self.url.clone();
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url.set_query(query);
        let mut request = self.http.request(method, url).timeout(TIME_LIMIT);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let unreachable =
            |error| RemoteError::Unreachable { url: self.url.clone(), problem: describe(error) };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.bytes().await.map_err(unreachable)?;
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let value = serde_json::from_slice::<Value>(&text);
        if status.is_success() {
            return value.map_err(|source| self.malformed(source));
        }
        Err(self.refusal(status, &value.unwrap_or_default()))
    }

    fn malformed(&self, source: serde_json::Error) -> RemoteError {
        RemoteError::Malformed { url: self.url.clone(), source }
    }

    fn refusal(&self, status: StatusCode, body: &Value) -> RemoteError {
        let mut message = body["error"].as_str().unwrap_or("refused").to_owned();
        if let Some(state) = body["status"].as_str() {
            message = format!("{message}: it is {state}");
        }
        if status == StatusCode::UNAUTHORIZED {
            let url = self.url.clone();
            return RemoteError::Unauthorised { url, message };
        }
        RemoteError::Refused { status, message }
    }
}
