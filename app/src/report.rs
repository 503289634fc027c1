//! Reading what a claimer says about its job.
//!
//! Invariant: nothing in the words may keep an outcome from being recorded. A body that is missing,
//! is no JSON or has no text counts as no words, and a long one is cut. A claim id that is no UUID
//! is refused: taken as none, it would get past the fence.

use api_client::ClaimId;
use api_client::wire::JobUsage;
use axum::extract::{FromRequest, Request};
use serde::Deserialize;
use serde_json::Value;

use crate::body::invalid;
use crate::error::ApiError;
use crate::queue::Failure;
use crate::receive::{BODY_MAX, receive};

/// Longest reason that is kept, in characters.
const REASON_MAX: usize = 8_000;

/// Longest cause, in bytes.
const CAUSE_MAX: usize = 40;

/// Body of `complete` and `fail`, all of it optional.
#[derive(Debug)]
pub(crate) struct Report {
    /// The claim that the reporter says it holds the job by.
    pub(crate) claim: Option<ClaimId>,
    pub(crate) failure: Failure,
    /// What the job used. What is no such thing says nothing.
    pub(crate) usage: Option<JobUsage>,
}

impl<S: Send + Sync> FromRequest<S> for Report {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let body = receive(request.into_body(), BODY_MAX).await?;
        Self::read(&serde_json::from_slice(&body).unwrap_or_default())
    }
}

impl Report {
    fn read(body: &Value) -> Result<Self, ApiError> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::trim);
        let reason = text("reason").filter(|reason| !reason.is_empty());
        Ok(Self {
            claim: match body.get("claim_id") {
                None | Some(Value::Null) => None,
                Some(id) => Some(claim_id(id.as_str())?),
            },
            failure: Failure {
                reason: reason.map(reason_kept),
                cause: text("cause").filter(|cause| is_word(cause)).map(str::to_owned),
            },
            usage: body.get("usage").and_then(|usage| JobUsage::deserialize(usage).ok()),
        })
    }
}

/// A claim id as a body has it.
pub(crate) fn claim_id(text: Option<&str>) -> Result<ClaimId, ApiError> {
    let id = text.and_then(|text| text.parse().ok());
    id.ok_or_else(|| invalid("claim_id must be a valid UUID"))
}

/// As much of a reason as is kept.
pub(crate) fn reason_kept(text: &str) -> String {
    text.trim().chars().take(REASON_MAX).collect()
}

fn is_word(text: &str) -> bool {
    let in_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.len() <= CAUSE_MAX && text.bytes().all(in_word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_word_is_no_cause() {
        let cause = |value| Report::read(&json!({ "cause": value })).unwrap().failure.cause;
        assert_eq!(cause(json!("oom_killed")), Some("oom_killed".to_owned()));
        for value in [json!("two words"), json!("x".repeat(41)), json!(""), json!(5)] {
            assert_eq!(cause(value), None);
        }
    }

    #[test]
    fn a_claim_id_that_is_no_uuid_does_not_count_as_none() {
        for value in [json!("five"), json!(5), json!("")] {
            let error = Report::read(&json!({ "claim_id": value })).unwrap_err();
            assert_eq!(error.to_string(), "claim_id must be a valid UUID");
        }
        assert_eq!(Report::read(&json!({ "claim_id": null })).unwrap().claim, None);
        assert_eq!(Report::read(&json!([1])).unwrap().claim, None);
    }
}
