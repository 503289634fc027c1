//! Answers in a fixed order, whatever is asked: those of a model that judges, and that may judge badly.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::script::Script;
use super::view::{Answer, Usage, View};
use super::wire::Wire;

/// One answer of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// This text.
    Text(String),
    /// This text, which ends where the limit of tokens was.
    CutOff(String),
    /// No content.
    Null,
    /// 429, with the seconds in its `retry-after`.
    Limited(u32),
    /// 502, with a page in HTML.
    Page,
}

impl Said {
    /// For the record.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "said text",
            Self::CutOff(_) => "said a part",
            Self::Null => "said nothing",
            Self::Limited(_) => "status 429",
            Self::Page => "a page",
        }
    }

    /// Whether it is an answer of a model, which has tokens.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Text(_) | Self::CutOff(_) | Self::Null)
    }
}

impl Script {
    /// The answer to the request of this number, from 1: the last of a sequence is given for ever.
    pub(super) fn said(&self, number: u64) -> Option<&Said> {
        let index = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        self.sequence.get(index).or(self.sequence.last())
    }
}

/// The answer in the protocol, in one piece.
pub(super) fn respond(wire: &Wire, view: &View, script: &Script, said: &Said) -> Response {
    let text = match said {
        Said::Text(text) | Said::CutOff(text) => text.clone(),
        Said::Null => String::new(),
        Said::Limited(seconds) => {
            let error = Json(wire.error(429, "slow down"));
            return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, seconds.to_string())], error)
                .into_response();
        }
        Said::Page => {
            let page = "<html><title>502 Bad Gateway</title></html>";
            return (StatusCode::BAD_GATEWAY, [(CONTENT_TYPE, "text/html")], page).into_response();
        }
    };
    let usage = Usage {
        input: script.input_tokens,
        cached: script.cached_tokens,
        output: script.output_tokens,
    };
    let mut body = wire.reply(view, &Answer::Text(text), usage).body;
    match (wire, said) {
        (Wire::Anthropic, Said::CutOff(_)) => body["stop_reason"] = json!("max_tokens"),
        (Wire::Anthropic, Said::Null) => body["content"] = json!([]),
        (_, Said::CutOff(_)) => body["choices"][0]["finish_reason"] = json!("length"),
        (_, Said::Null) => body["choices"][0]["message"]["content"] = Value::Null,
        _ => {}
    }
    Json(body).into_response()
}
