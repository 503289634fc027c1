//! Whether the provider speaks a protocol at all, asked before a coding CLI does.
//!
//! The request that is sent has no conversation in it, so that it costs nothing: who speaks the protocol
//! says that something is missing. Only an answer that leaves no doubt counts against a provider; that it
//! is busy, silent or down for a moment does not.
//!
//! Invariant: nothing of this is in the account of the job.

use std::time::Duration;

use api_client::http;
use hyper::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::ModelGateway;
use super::provider::Provider;
use super::wire::Wire;
use crate::bounded::beginning;

/// How long one answer is waited for. A local server may have to load its model first: it is not held
/// against it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The waits between tries of a provider that cannot be reached.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// How much of an answer is read, in bytes, and how much of it is shown.
const ANSWER_MAX: usize = 64 << 10;
const SHOWN_MAX: usize = 300;

/// What is asked for where no model is named.
const SOME_MODEL: &str = "default";

/// Why a provider cannot be the model of a CLI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It does not take the key.
    Key(String),
    /// It does not know the model.
    Model(String),
    /// It does not speak the protocol.
    Protocol(String),
    /// It cannot be reached.
    Unreachable(String),
}

/// An answer, as far as it is judged.
#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    /// The value of `Content-Type`, or nothing.
    kind: String,
    text: String,
}

impl ModelGateway {
    /// Asks the provider for an answer to nothing. Where another one stands in, it is not asked: it
    /// is not known yet which of the two will answer.
    ///
    /// # Errors
    /// Why it cannot be the model of a CLI that speaks this protocol.
    pub(crate) async fn check(&self, wire: Wire, model: Option<&str>) -> Result<(), Unfit> {
        if self.gate.fallback.is_some() {
            return Ok(());
        }
        let mut pauses = PAUSES.into_iter();
        loop {
            let asked = timeout(PATIENCE, self.ask(wire, model)).await;
            let unreachable = match asked {
                Ok(Ok(answer)) => return judge(wire, model, &answer).map_err(|u| self.redacted(u)),
                Ok(Err(error)) if error.is_connect() => http::describe(error),
                Ok(Err(error)) => {
                    tracing::debug!("the model endpoint broke off: {}", http::describe(error));
                    return Ok(());
                }
                Err(_) => {
                    tracing::debug!("the model endpoint did not answer in {PATIENCE:?}");
                    return Ok(());
                }
            };
            let Some(pause) = pauses.next() else { return Err(Unfit::Unreachable(unreachable)) };
            sleep(pause).await;
        }
    }

    async fn ask(&self, wire: Wire, model: Option<&str>) -> Result<Answer, reqwest::Error> {
        let main: &Provider = &self.gate.main;
        let body = match (wire, model) {
            (Wire::Gemini, _) | (_, None) => json!({}),
            (_, Some(model)) => json!({ "model": model }),
        };
        let path = wire.generating(main.base().path(), model.unwrap_or(SOME_MODEL));
        let request = main.direct(&self.gate.client, wire, &path).json(&body);
        let mut response = request.send().await?;
        let status = response.status();
        let kind = text_of(response.headers(), &header::CONTENT_TYPE);
        let mut bytes = Vec::new();
        while bytes.len() < ANSWER_MAX
            && let Some(piece) = response.chunk().await?
        {
            bytes.extend_from_slice(&piece);
        }
        Ok(Answer { status, kind, text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    /// Without a key that the provider may have repeated.
    fn redacted(&self, unfit: Unfit) -> Unfit {
        let clean = |text: String| self.gate.redactor.redact(&text).into_owned();
        match unfit {
            Unfit::Key(text) => Unfit::Key(clean(text)),
            Unfit::Model(text) => Unfit::Model(clean(text)),
            Unfit::Protocol(text) => Unfit::Protocol(clean(text)),
            Unfit::Unreachable(text) => Unfit::Unreachable(clean(text)),
        }
    }
}

/// What an answer to nothing says of the provider.
fn judge(wire: Wire, model: Option<&str>, answer: &Answer) -> Result<(), Unfit> {
    let value = serde_json::from_str::<Value>(&answer.text).unwrap_or_default();
    let said = || {
        let text = answer.text.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{}: {}", answer.status.as_u16(), beginning(&text, SHOWN_MAX))
    };
    match answer.status.as_u16() {
        200..=299 if answer.kind.starts_with("text/event-stream") => Ok(()),
        200..=299 if is_answer(wire, &value) => Ok(()),
        200..=399 => Err(Unfit::Protocol(said())),
        401 | 403 => Err(Unfit::Key(said())),
        404 | 405 | 501 => match (is_about_model(wire, &value), model) {
            (true, Some(_)) => Err(Unfit::Model(said())),
            (true, None) => Ok(()),
            (false, _) => Err(Unfit::Protocol(said())),
        },
        // It is asked for something that it cannot answer, and it is not always told so kindly.
        _ => Ok(()),
    }
}

/// Whether this is an answer of a model in this protocol, in one piece.
fn is_answer(wire: Wire, value: &Value) -> bool {
    let has = |name: &str| value.get(name).is_some();
    match wire {
        Wire::Chat => has("choices"),
        Wire::Responses => has("output"),
        Wire::Anthropic => has("content"),
        Wire::Gemini => has("candidates") || has("promptFeedback"),
    }
}

/// Whether an error in the protocol's form is about the model that was asked for.
fn is_about_model(wire: Wire, value: &Value) -> bool {
    let error = &value["error"];
    let in_form = match wire {
        Wire::Chat | Wire::Responses => error["message"].is_string(),
        Wire::Anthropic => value["type"] == "error",
        Wire::Gemini => error["status"].is_string(),
    };
    in_form && error.to_string().to_ascii_lowercase().contains("model")
}

fn text_of(headers: &HeaderMap, name: &header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
