//! Answers as values or errors. Pure.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::limit;
use crate::forge::ForgeError;
use crate::forge::pull_request::cut;

/// The longest message of the forge that an error repeats, in characters.
const MESSAGE_MAX_CHARS: usize = 600;

/// The JSON of a successful answer, or the error that another one stands for. An answer without a
/// body is `null`.
pub(super) fn read(
    attempted: &'static str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Value, ForgeError> {
    if !status.is_success() {
        return Err(error(attempted, status, headers, message(body)));
    }
    if body.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| ForgeError::Malformed { attempted, reason: error.to_string() })?;
    match errors_within(&value) {
        Some(message) => Err(error_of_success(attempted, status, headers, message)),
        None => Ok(value),
    }
}

/// A value of the forge's answer.
pub(in crate::forge) fn parse<T: DeserializeOwned>(
    attempted: &'static str,
    value: Value,
) -> Result<T, ForgeError> {
    let said = value.get("message").or_else(|| value.get("error")).map(words);
    serde_json::from_value(value).map_err(|error| {
        let said = said.map(|said| format!("; it says: {}", cut(&said, MESSAGE_MAX_CHARS)));
        let reason = format!("{error}{}", said.unwrap_or_default());
        ForgeError::Malformed { attempted, reason }
    })
}

/// The entries of a list.
pub(in crate::forge) fn parse_each<T: DeserializeOwned>(
    attempted: &'static str,
    values: Vec<Value>,
) -> Result<Vec<T>, ForgeError> {
    values.into_iter().map(|value| parse(attempted, value)).collect()
}

fn error(
    attempted: &'static str,
    status: StatusCode,
    headers: &HeaderMap,
    message: String,
) -> ForgeError {
    if let Some(retry_after) = limit::pause(status, headers, &message) {
        return ForgeError::RateLimited { attempted, message, retry_after };
    }
    match status.as_u16() {
        401 | 403 => ForgeError::Unauthorised { attempted, message },
        404 | 410 => ForgeError::NotFound { attempted, message },
        408 | 425 | 500.. => ForgeError::Unreachable {
            attempted,
            reason: format!("status {}: {message}", status.as_u16()),
        },
        status => ForgeError::Refused { attempted, status, message },
    }
}

/// What a success says that is none: GraphQL tells everything so, its limits too.
fn error_of_success(
    attempted: &'static str,
    status: StatusCode,
    headers: &HeaderMap,
    message: String,
) -> ForgeError {
    match limit::pause(
        StatusCode::FORBIDDEN,
        headers,
        &message.replace("RATE_LIMITED", "rate limit"),
    ) {
        Some(retry_after) => ForgeError::RateLimited { attempted, message, retry_after },
        None => ForgeError::Refused { attempted, status: status.as_u16(), message },
    }
}

/// The errors in an answer that pretends to be a success.
fn errors_within(value: &Value) -> Option<String> {
    let errors = value.get("errors")?;
    let any = errors.as_array().is_some_and(|list| !list.is_empty())
        || errors.as_object().is_some_and(|fields| !fields.is_empty());
    any.then(|| cut(&words(errors), MESSAGE_MAX_CHARS))
}

/// What the forge says in words. A body that is not its JSON (a proxy's page) is shown by its
/// beginning.
fn message(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(value) => words(&value),
        Err(_) => String::from_utf8_lossy(body).split_whitespace().collect::<Vec<_>>().join(" "),
    };
    match text.as_str() {
        "" => "no message".to_owned(),
        text => cut(text, MESSAGE_MAX_CHARS),
    }
}

/// The words in a forge's error: `message` and the single `errors` (GitHub, Gitea); a text, a list or
/// texts by field in `message`, or `error` with its description (GitLab).
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(entries) => joined(entries.iter().map(words), "; "),
        Value::Object(fields) => {
            let told = ["message", "error", "error_description", "errors"];
            let told: Vec<_> = told.into_iter().filter_map(|name| fields.get(name)).collect();
            if !told.is_empty() {
                let kind = fields.get("type").and_then(Value::as_str).map(str::to_owned);
                return joined(kind.into_iter().chain(told.into_iter().map(words)), "; ");
            }
            let parts =
                ["resource", "field", "code"].into_iter().filter_map(|name| fields.get(name));
            let github = joined(parts.map(words), " ");
            if !github.is_empty() {
                return github;
            }
            let by_field = fields.iter().map(|(name, text)| format!("{name} {}", words(text)));
            joined(by_field, "; ")
        }
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn joined(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn answer(
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Result<Value, ForgeError> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        read("testing", status, &headers, body.as_bytes())
    }

    fn error_of(status: u16, headers: &[(&'static str, &str)], body: &str) -> ForgeError {
        answer(status, headers, body).unwrap_err()
    }

    #[test]
    fn the_forge_s_own_words_reach_the_error() {
        for (body, expected) in [
            (
                r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest",
                    "code":"custom","message":"A pull request already exists for acme:t."}]}"#,
                "Validation Failed; A pull request already exists for acme:t.",
            ),
            (
                r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest",
                    "field":"base","code":"invalid"},"plain text"]}"#,
                "Validation Failed; PullRequest base invalid; plain text",
            ),
            (r#"{"message":"branch is protected","url":"https://x"}"#, "branch is protected"),
            (
                r#"{"message":["Another open merge request exists: !7"]}"#,
                "Another open merge request exists: !7",
            ),
            (
                r#"{"message":{"source_branch":["is invalid","is too long"]}}"#,
                "source_branch is invalid; is too long",
            ),
            (
                r#"{"error":"insufficient_scope","error_description":"needs api","scope":"api"}"#,
                "insufficient_scope; needs api",
            ),
            (r#"{"error":"title is missing"}"#, "title is missing"),
            ("Retry  later\n", "Retry later"),
            ("", "no message"),
        ] {
            let error = error_of(422, &[], body).to_string();
            assert!(error.ends_with(&format!(": {expected}")), "{error}");
        }
    }

    #[test]
    fn errors_are_told_apart_by_their_remedy() {
        let body = r#"{"message":"m"}"#;
        assert!(matches!(error_of(401, &[], body), ForgeError::Unauthorised { .. }));
        assert!(matches!(error_of(403, &[], body), ForgeError::Unauthorised { .. }));
        assert!(matches!(error_of(404, &[], body), ForgeError::NotFound { .. }));
        assert!(matches!(error_of(409, &[], body), ForgeError::Refused { status: 409, .. }));
        assert!(matches!(error_of(422, &[], body), ForgeError::Refused { status: 422, .. }));
        assert!(matches!(error_of(303, &[], body), ForgeError::Refused { status: 303, .. }));
        for status in [408, 500, 502, 503, 504] {
            assert!(error_of(status, &[], "<html>bad gateway</html>").is_transient(), "{status}");
        }
        for limited in [
            error_of(429, &[("retry-after", "7")], "{}"),
            error_of(403, &[("retry-after", "7")], "{}"),
        ] {
            assert_eq!(limited.pause(), Duration::from_secs(7), "{limited}");
        }
    }

    #[test]
    fn a_success_that_carries_errors_is_none() {
        let error =
            error_of(200, &[], r#"{"data":null,"errors":[{"type":"NOT_FOUND","message":"gone"}]}"#);
        assert!(matches!(error, ForgeError::Refused { status: 200, .. }), "{error}");
        assert!(error.to_string().ends_with("NOT_FOUND; gone"), "{error}");
        let error = error_of(200, &[], r#"{"errors":[{"type":"RATE_LIMITED","message":"slow"}]}"#);
        assert!(matches!(error, ForgeError::RateLimited { .. }), "{error}");
        assert!(answer(200, &[], r#"{"errors":[],"data":{}}"#).is_ok());
        assert!(matches!(error_of(200, &[], "<html>sign in</html>"), ForgeError::Malformed { .. }));
        assert_eq!(answer(204, &[], "").unwrap(), Value::Null);
    }

    #[test]
    fn a_value_that_lacks_what_it_should_have_is_told_with_the_forge_s_words() {
        #[derive(Debug, serde::Deserialize)]
        struct Numbered {
            #[expect(dead_code, reason = "read by serde")]
            number: u64,
        }
        let error = parse::<Numbered>("testing", json!({"message": "moved"})).unwrap_err();
        assert!(error.to_string().ends_with("missing field `number`; it says: moved"), "{error}");
        assert!(parse_each::<Numbered>("testing", vec![json!({"number": 1}), json!(2)]).is_err());
    }

    #[test]
    fn a_page_of_a_proxy_is_shown_by_its_beginning() {
        let page = format!("<html>\n{}</html>", "x".repeat(100_000));
        assert!(error_of(502, &[], &page).to_string().len() < 1000);
    }
}
