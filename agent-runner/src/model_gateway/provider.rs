//! Who answers: the job's provider, or the one that stands in while that one gives no answer.
//!
//! Invariant: each provider gets its own key, and nobody else's.

use std::fmt;

use api_client::Secret;
use hyper::StatusCode;
use hyper::http::request::Parts;
use url::Url;

use super::refusal::Refusal;
use super::request::{self, Key, KeyPlace, Outgoing};
use super::wire::{self, Wire};
use super::{Fallback, ModelGatewayError};

/// What Anthropic asks every client to name.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// A provider, and how it is asked.
#[derive(Debug)]
pub(super) struct Provider {
    role: Role,
    base: Url,
    key: Key,
    /// What to ask for in the place of the model that the caller names.
    model: Option<String>,
}

/// Which of the two a provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The job's own.
    Main,
    /// The one that stands in.
    Fallback,
}

impl Provider {
    /// The job's own provider.
    ///
    /// # Errors
    /// When the key cannot be sent.
    pub(super) fn main(base: Url, key: &Secret) -> Result<Self, ModelGatewayError> {
        Self::new(Role::Main, base, key, None)
    }

    /// The one that stands in.
    ///
    /// # Errors
    /// When the key cannot be sent.
    pub(super) fn fallback(fallback: Fallback) -> Result<Self, ModelGatewayError> {
        let Fallback { url, key, model } = fallback;
        Self::new(Role::Fallback, url, &key, model)
    }

    fn new(
        role: Role,
        base: Url,
        key: &Secret,
        model: Option<String>,
    ) -> Result<Self, ModelGatewayError> {
        let key = Key::new(key).ok_or(ModelGatewayError::Key { name: role.key_name() })?;
        Ok(Self { role, base, key, model })
    }

    pub(super) const fn role(&self) -> Role {
        self.role
    }

    pub(super) const fn base(&self) -> &Url {
        &self.base
    }

    /// A caller's request to the provider at `main` as this one is asked it.
    pub(super) fn request(
        &self,
        client: &reqwest::Client,
        main: &Url,
        (head, place): (&Parts, KeyPlace),
        outgoing: &Outgoing,
    ) -> reqwest::RequestBuilder {
        let mut url = request::url(&self.base, head);
        if self.role == Role::Fallback {
            let path = head.uri.path();
            let moved = wire::moved(path, main.path(), self.base.path(), self.model.as_deref());
            url.set_path(&moved);
        }
        let body = match &self.model {
            Some(model) => request::with_model(&outgoing.body, model),
            None => outgoing.body.clone(),
        };
        let headers = request::headers(head, place, &self.key);
        client.request(head.method.clone(), url).headers(headers).body(body)
    }
}

impl Provider {
    /// A request of our own to a path of it.
    pub(super) fn direct(
        &self,
        client: &reqwest::Client,
        wire: Wire,
        path: &str,
    ) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(path);
        let place = match wire {
            Wire::Chat | Wire::Responses => KeyPlace::Bearer,
            Wire::Anthropic => KeyPlace::ApiKey,
            Wire::Gemini => KeyPlace::GoogleKey,
        };
        let (name, value) = self.key.header(place);
        let request = client.post(url).header(name, value);
        match wire {
            Wire::Anthropic => request.header("anthropic-version", ANTHROPIC_VERSION),
            Wire::Chat | Wire::Responses | Wire::Gemini => request,
        }
    }
}

/// Why what a provider gave is no answer, so that another one may be asked. That it refuses the key or
/// the request is an answer: it would be hidden for ever otherwise.
pub(super) fn failure(given: &Result<reqwest::Response, Refusal>) -> Option<String> {
    match given {
        Err(refusal) if refusal.is_budget => None,
        Err(refusal) => Some(refusal.message.clone()),
        Ok(answer) => is_failure(answer.status())
            .then(|| format!("the provider answered {}", answer.status().as_u16())),
    }
}

fn is_failure(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

impl Role {
    const fn key_name(self) -> &'static str {
        use api_client::contract::env;
        match self {
            Self::Main => env::WORKER_LLM_KEY,
            Self::Fallback => env::WORKER_FALLBACK_KEY,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Main => "main",
            Self::Fallback => "fallback",
        })
    }
}
