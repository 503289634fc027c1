//! One model's endpoint, asked once.
//!
//! Invariant: the key is in a header, goes to this endpoint alone, and is in no message of ours.

use std::time::{Duration, SystemTime};

use api_client::contract::env;
use api_client::http::describe;
use api_client::{Redactor, Secret};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::breaker::Breaker;
use super::error::DirectorError;
use super::wire::{self, Dialect, Limit, Question, Said, Schema, Temperature};
use crate::bounded::beginning;
use crate::model_gateway::{Account, Exhausted, Wire, wait_of};
use crate::settings::{DirectorModel, DirectorProvider};

/// Where Anthropic wants its key, and what it asks every client to name.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ANTHROPIC_VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// Largest answer that is read, in bytes, and how much of one that is none is shown.
const ANSWER_MAX: usize = 1 << 20;
const SHOWN_MAX: usize = 300;

/// A model's endpoint, and what is known of it by now.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) model: String,
    pub(super) breaker: Breaker,
    wire: Wire,
    url: Url,
    headers: HeaderMap,
    dialect: Dialect,
    redactor: Redactor,
}

/// No answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// For people.
    pub(super) why: String,
    /// What may help.
    pub(super) then: Then,
}

/// What may help against a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The same once more, after this time where one was named.
    Again(Option<Duration>),
    /// At once: the question is another one now.
    AtOnce,
    /// Nothing.
    Never,
}

/// What asking once comes to.
#[derive(Debug)]
pub(super) enum Asked {
    /// An answer in the protocol.
    Answered(Said),
    /// None.
    Failed(Failure),
    /// It was not asked.
    NoBudget(Exhausted),
}

impl Endpoint {
    /// The endpoint of a model; `key_name` is the setting that its key is from.
    ///
    /// # Errors
    /// When the key cannot be sent.
    pub(super) fn new(
        model: &DirectorModel,
        key_name: &'static str,
    ) -> Result<Self, DirectorError> {
        let wire = model.provider.wire();
        let mut url = model.url.clone();
        url.set_path(&wire.generating(model.url.path(), &model.model));
        let headers = headers(wire, model.key.as_ref());
        let headers = headers.ok_or(DirectorError::Key { name: key_name })?;
        let limit = match model.provider {
            // Its newer models know no other name, its older ones both.
            DirectorProvider::OpenAi => Limit::MaxCompletionTokens,
            DirectorProvider::Anthropic
            | DirectorProvider::OpenRouter
            | DirectorProvider::Custom => Limit::MaxTokens,
        };
        Ok(Self {
            model: model.model.clone(),
            breaker: Breaker::default(),
            wire,
            url,
            headers,
            dialect: Dialect { schema: Schema::Held, limit, temperature: Temperature::Said },
            redactor: Redactor::new(&model.key),
        })
    }

    /// The same as an error names it.
    pub(super) fn name(&self) -> String {
        format!("{} at {}", self.model, self.url.host_str().unwrap_or_default())
    }

    /// Asks once; an answer is waited for as long as `limit`.
    pub(super) async fn ask(
        &mut self,
        http: &Client,
        question: &Question<'_>,
        limit: Duration,
        account: &Account,
    ) -> Asked {
        let body = wire::body(self.wire, &self.model, question, self.dialect);
        let entry = match account.enter(&body) {
            Ok(entry) => entry,
            Err(exhausted) => return Asked::NoBudget(exhausted),
        };
        let request = http.post(self.url.clone()).headers(self.headers.clone()).json(&body);
        let mut is_reached = true;
        let answered = timeout(limit, async {
            let response = request.send().await.map_err(|error| {
                is_reached = !error.is_connect();
                unreachable(error)
            })?;
            let status = response.status();
            let wait = wait_of(status, response.headers(), SystemTime::now());
            Ok::<_, Failure>((status, wait, whole(response).await?))
        });
        let (status, wait, text) = match answered.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => {
                if !is_reached {
                    entry.costs_nothing();
                }
                return Asked::Failed(failure);
            }
            Err(_) => {
                let why = format!("no answer within {} s (AGENT_TIMEOUT_SEC)", limit.as_secs());
                return Asked::Failed(Failure { why, then: Then::Again(None) });
            }
        };
        let value = serde_json::from_str::<Value>(&text).unwrap_or_default();
        if !status.is_success() {
            entry.costs_nothing();
            return Asked::Failed(self.refused(status, wait, &value, &text));
        }
        match wire::read(self.wire, &value, question.output) {
            Ok(said) => {
                entry.answered(self.wire, &value, text.len());
                Asked::Answered(said)
            }
            Err(why) => {
                entry.costs_nothing();
                let why = format!("{why}: {}", self.shown(&text));
                Asked::Failed(Failure { why, then: Then::Again(wait) })
            }
        }
    }

    /// What a status that is no success comes to.
    fn refused(
        &mut self,
        status: StatusCode,
        wait: Option<Duration>,
        value: &Value,
        text: &str,
    ) -> Failure {
        let words =
            wire::error_in(value).map_or_else(|| self.shown(text), |words| self.shown(words));
        let why = format!("{}: {words}", status.as_u16());
        let then = match status.as_u16() {
            408 | 409 | 425 | 429 | 500..=599 => Then::Again(wait),
            // One that has no model with what is asked for says that there is none.
            400 | 404 | 415 | 422 if self.dialect.adapt(&words) => Then::AtOnce,
            _ => Then::Never,
        };
        Failure { why, then }
    }

    /// The beginning of what an endpoint sent, in one line and without its key.
    fn shown(&self, text: &str) -> String {
        let text = self.redactor.redact(text);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        beginning(&line, SHOWN_MAX).to_owned()
    }
}

fn headers(wire: Wire, key: Option<&Secret>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    if wire == Wire::Anthropic {
        let (name, value) = ANTHROPIC_VERSION;
        headers.insert(name, HeaderValue::from_static(value));
    }
    let Some(key) = key else { return Some(headers) };
    let (name, value) = match wire {
        Wire::Anthropic => (API_KEY, key.clone()),
        _ => (AUTHORIZATION, Secret::from(format!("Bearer {}", key.expose()))),
    };
    let mut value = HeaderValue::from_str(value.expose()).ok()?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Some(headers)
}

/// A request that did not come to an answer.
fn unreachable(error: reqwest::Error) -> Failure {
    Failure { why: describe(error), then: Then::Again(None) }
}

async fn whole(mut response: Response) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > ANSWER_MAX {
            let why = format!("its answer is longer than {ANSWER_MAX} bytes");
            return Err(Failure { why, then: Then::Never });
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The settings that keys are from, of the first model and of those that stand in.
pub(super) const KEY_NAMES: [&str; 2] = [env::AGENT_LLM_KEY, env::AGENT_FALLBACK_KEY];
