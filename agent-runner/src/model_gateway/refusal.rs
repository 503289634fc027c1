//! How we answer in the provider's place: an error in the form of each protocol.
//!
//! Invariant: the end of the budget is known again in every form, by its code.

use std::fmt;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::frames::Framing;
use super::wire::Wire;

/// The code of the error that says that the budget is used up, in every protocol: another gateway
/// between here and the CLI knows it by this.
const BUDGET_CODE: &str = "agent_budget_exhausted";

/// How its message begins.
const BUDGET_WORDS: &str = "the budget of this job is used up: ";

/// Why we answer in the provider's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The status.
    pub(super) status: StatusCode,
    /// What is said.
    pub(super) message: String,
    /// Whether it is because of the budget.
    pub(super) is_budget: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), is_budget: false }
    }

    /// There is nothing left to spend.
    pub(super) fn budget(how: &impl fmt::Display) -> Self {
        let message = format!("{BUDGET_WORDS}{how}");
        Self { status: StatusCode::TOO_MANY_REQUESTS, message, is_budget: true }
    }
}

impl Wire {
    /// The body of an answer that refuses.
    pub(super) fn error(self, refusal: &Refusal) -> Value {
        let Refusal { status, message, is_budget } = refusal;
        let code = if *is_budget { BUDGET_CODE } else { kind(*status) };
        match self {
            Self::Chat | Self::Responses => json!({
                "error": {"message": message, "type": kind(*status), "param": null, "code": code},
            }),
            Self::Anthropic => json!({
                "type": "error",
                "error": {"type": kind(*status), "message": message, "code": code},
            }),
            Self::Gemini => json!({
                "error": {"code": status.as_u16(), "message": message,
                    "status": gemini_kind(*status), "details": [{"reason": code}]},
            }),
        }
    }

    /// The same as the last event of a stream that was begun; `first` when nothing came before it.
    pub(super) fn error_event(self, framing: Framing, refusal: &Refusal, first: bool) -> String {
        let error = self.error(refusal);
        match (framing, self) {
            (Framing::JsonArray, _) => format!("{}{error}]", if first { "[" } else { "," }),
            (Framing::Sse, Self::Anthropic) => format!("event: error\ndata: {error}\n\n"),
            (Framing::Sse, Self::Responses) => {
                let error = &error["error"];
                let (code, message) = (&error["code"], &error["message"]);
                let event =
                    json!({"type": "error", "code": code, "message": message, "param": null});
                format!("event: error\ndata: {event}\n\n")
            }
            (Framing::Sse, Self::Chat | Self::Gemini) => format!("data: {error}\n\n"),
        }
    }
}

/// How the budget ended in the words of another gateway, in any protocol's form.
pub(super) fn budget_refusal(answer: &Value) -> Option<&str> {
    let error = if answer["error"].is_object() { &answer["error"] } else { answer };
    let code = error["code"].as_str().or_else(|| error["details"][0]["reason"].as_str());
    let message = error["message"].as_str().filter(|_| code == Some(BUDGET_CODE))?;
    Some(message.strip_prefix(BUDGET_WORDS).unwrap_or(message))
}

fn kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 413 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        _ => "api_error",
    }
}

fn gemini_kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 413 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        504 => "DEADLINE_EXCEEDED",
        _ => "UNAVAILABLE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_up_budget_is_known_again_in_every_form() {
        let refusal = Refusal::budget(&"no more");
        for wire in [Wire::Chat, Wire::Responses, Wire::Anthropic, Wire::Gemini] {
            let words = budget_refusal(&wire.error(&refusal)).map(str::to_owned);
            assert_eq!(words.as_deref(), Some("no more"));
            let event = wire.error_event(Framing::Sse, &refusal, false);
            let data = event.split("data: ").nth(1).unwrap();
            assert!(budget_refusal(&serde_json::from_str(data).unwrap()).is_some(), "{event}");
            let other = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "slow down");
            assert_eq!(budget_refusal(&wire.error(&other)), None);
        }
        assert_eq!(budget_refusal(&json!({"error": "text"})), None);
        assert_eq!(budget_refusal(&json!([1])), None);
    }

    #[test]
    fn an_array_stays_an_array_with_the_error_in_it() {
        let refusal = Refusal::budget(&"no more");
        let event = |first| Wire::Gemini.error_event(Framing::JsonArray, &refusal, first);
        assert!(serde_json::from_str::<Value>(&event(true)).unwrap().is_array());
        let whole = format!("[{{}}{}", event(false));
        assert_eq!(serde_json::from_str::<Vec<Value>>(&whole).unwrap().len(), 2);
    }
}
