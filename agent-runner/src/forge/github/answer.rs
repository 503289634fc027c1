//! GitHub's answers as values. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

use crate::forge::{ForgeError, PullRequest, PullRequestState, cut};
use crate::git::BranchName;

/// The longest message of the forge that an error repeats, in characters.
const MESSAGE_MAX_CHARS: usize = 600;
/// The pause after a rate limit that names none, as GitHub's documentation asks for.
const UNNAMED_PAUSE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Pull {
    number: u64,
    html_url: String,
    state: String,
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    sha: String,
    #[serde(rename = "ref")]
    branch: String,
    /// `owner:branch`; absent where the fork is gone.
    label: Option<String>,
}

impl From<Pull> for PullRequest {
    fn from(pull: Pull) -> Self {
        let state = match pull.state.as_str() {
            "open" => PullRequestState::Open,
            _ => PullRequestState::Closed,
        };
        Self { number: pull.number, url: pull.html_url, head_sha: pull.head.sha, state }
    }
}

/// The JSON of a successful answer, or the error that another one stands for.
pub(super) fn read(
    attempted: &'static str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Value, ForgeError> {
    if status.is_success() {
        return serde_json::from_slice(body)
            .map_err(|error| ForgeError::Malformed { attempted, reason: error.to_string() });
    }
    Err(error(attempted, status, headers, message(body)))
}

/// A pull request.
pub(super) fn pull_request(
    attempted: &'static str,
    value: &Value,
) -> Result<PullRequest, ForgeError> {
    Pull::deserialize(value)
        .map(PullRequest::from)
        .map_err(|error| ForgeError::Malformed { attempted, reason: error.to_string() })
}

/// The first pull request of a list whose branch is this one, in the repository itself: GitHub
/// ignores a filter that it does not understand, and forks have branches of the same name.
pub(super) fn first_with_head(
    attempted: &'static str,
    value: &Value,
    owner: &str,
    head: &BranchName,
) -> Result<Option<PullRequest>, ForgeError> {
    let pulls = Vec::<Pull>::deserialize(value)
        .map_err(|error| ForgeError::Malformed { attempted, reason: error.to_string() })?;
    let from_owner =
        |label: &str| label.split_once(':').is_some_and(|(who, _)| who.eq_ignore_ascii_case(owner));
    let found = pulls.into_iter().find(|pull| {
        pull.head.branch == head.as_str() && pull.head.label.as_deref().is_some_and(from_owner)
    });
    Ok(found.map(PullRequest::from))
}

/// Whether the pull request could not be opened because there is one.
pub(super) fn says_it_exists(error: &ForgeError) -> bool {
    matches!(error, ForgeError::Refused { status: 422, message, .. }
        if message.contains("already exists"))
}

fn error(
    attempted: &'static str,
    status: StatusCode,
    headers: &HeaderMap,
    message: String,
) -> ForgeError {
    let limited = status == StatusCode::TOO_MANY_REQUESTS
        || (status == StatusCode::FORBIDDEN && is_rate_limit(headers, &message));
    if limited {
        return ForgeError::RateLimited {
            attempted,
            message,
            retry_after: pause(headers).unwrap_or(UNNAMED_PAUSE),
        };
    }
    match status.as_u16() {
        401 | 403 => ForgeError::Unauthorised { attempted, message },
        404 | 410 => ForgeError::NotFound { attempted, message },
        408 | 500.. => ForgeError::Unreachable {
            attempted,
            reason: format!("status {}: {message}", status.as_u16()),
        },
        status => ForgeError::Refused { attempted, status, message },
    }
}

fn is_rate_limit(headers: &HeaderMap, message: &str) -> bool {
    headers.contains_key(RETRY_AFTER)
        || number(headers, "x-ratelimit-remaining") == Some(0)
        || message.to_ascii_lowercase().contains("rate limit")
}

/// The pause that the forge asks for: `Retry-After` in seconds, or until the limit's reset.
fn pause(headers: &HeaderMap) -> Option<Duration> {
    if let Some(seconds) = number(headers, RETRY_AFTER.as_str()) {
        return Some(Duration::from_secs(seconds));
    }
    if number(headers, "x-ratelimit-remaining") != Some(0) {
        return None;
    }
    let reset =
        UNIX_EPOCH.checked_add(Duration::from_secs(number(headers, "x-ratelimit-reset")?))?;
    // A reset in the past needs no pause.
    Some(reset.duration_since(SystemTime::now()).unwrap_or_default())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// What the forge says in words: its message and those of the single errors. A body that is not
/// its JSON (a proxy's page) is shown by its beginning.
fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        message: String,
        #[serde(default)]
        errors: Vec<Value>,
    }
    let text = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => {
            let mut parts = vec![problem.message];
            parts.extend(problem.errors.iter().map(single_error));
            parts.join("; ")
        }
        Err(_) => String::from_utf8_lossy(body).split_whitespace().collect::<Vec<_>>().join(" "),
    };
    match text.as_str() {
        "" => "no message".to_owned(),
        text => cut(text, MESSAGE_MAX_CHARS),
    }
}

/// An entry of `errors`: a text, an object with a message, or one of resource, field and code.
fn single_error(error: &Value) -> String {
    let text_of = |name: &str| error.get(name).and_then(Value::as_str);
    if let Some(text) = error.as_str().or_else(|| text_of("message")) {
        return text.to_owned();
    }
    let parts: Vec<&str> = ["resource", "field", "code"].into_iter().filter_map(text_of).collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pull(number: u64, branch: &str, label: &str) -> Value {
        json!({
            "number": number, "html_url": format!("https://github.com/acme/shop/pull/{number}"),
            "state": "open", "draft": false, "title": "x", "unknown": [1],
            "head": {"ref": branch, "sha": "a".repeat(40), "label": label, "repo": null},
        })
    }

    fn error_of(status: u16, headers: &[(&'static str, &str)], body: &str) -> ForgeError {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        read("testing", status, &headers, body.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_pull_request_is_read_and_unknown_fields_are_ignored() {
        let read = pull_request("testing", &pull(7, "t", "acme:t")).unwrap();
        assert_eq!(read.number, 7);
        assert_eq!(read.url, "https://github.com/acme/shop/pull/7");
        assert_eq!(read.state, PullRequestState::Open);
        assert!(pull_request("testing", &json!({"number": 1})).is_err());
    }

    #[test]
    fn a_pull_request_of_another_branch_or_fork_is_not_taken_for_ours() {
        let head: BranchName = "ticket-1".parse().unwrap();
        let find = |list: Value| first_with_head("testing", &list, "Acme", &head).unwrap();
        assert_eq!(find(json!([])), None);
        assert_eq!(find(json!([pull(1, "other", "acme:other")])), None);
        assert_eq!(find(json!([pull(1, "ticket-1", "fork:ticket-1")])), None);
        let list =
            json!([pull(1, "ticket-1", "fork:ticket-1"), pull(2, "ticket-1", "acme:ticket-1")]);
        assert_eq!(find(list).unwrap().number, 2);
    }

    #[test]
    fn the_forge_s_own_words_reach_the_error() {
        let body = r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest",
            "code":"custom","message":"A pull request already exists for acme:t."}],"status":"422"}"#;
        let error = error_of(422, &[], body);
        assert!(says_it_exists(&error));
        assert!(error.to_string().contains("A pull request already exists for acme:t."));
        let body = r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest",
            "field":"base","code":"invalid"},"plain text"]}"#;
        let error = error_of(422, &[], body);
        assert!(!says_it_exists(&error));
        assert!(
            error.to_string().ends_with("Validation Failed; PullRequest base invalid; plain text")
        );
    }

    #[test]
    fn errors_are_told_apart_by_their_remedy() {
        let body = r#"{"message":"m"}"#;
        assert!(matches!(error_of(401, &[], body), ForgeError::Unauthorised { .. }));
        assert!(matches!(error_of(403, &[], body), ForgeError::Unauthorised { .. }));
        assert!(matches!(error_of(404, &[], body), ForgeError::NotFound { .. }));
        assert!(matches!(error_of(409, &[], body), ForgeError::Refused { status: 409, .. }));
        for status in [500, 502, 503, 504] {
            assert!(error_of(status, &[], "<html>bad gateway</html>").is_transient(), "{status}");
        }
    }

    #[test]
    fn rate_limits_are_known_by_status_headers_or_words() {
        let secondary = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        let cases = [
            error_of(429, &[("retry-after", "7")], "{}"),
            error_of(403, &[("retry-after", "7")], "{}"),
            error_of(403, &[], secondary),
        ];
        for error in cases {
            assert!(matches!(error, ForgeError::RateLimited { .. }), "{error}");
        }
        let limited = error_of(429, &[("retry-after", "7")], "{}");
        assert!(matches!(limited,
            ForgeError::RateLimited { retry_after, .. } if retry_after.as_secs() == 7));
        let past = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000")];
        assert!(matches!(
            error_of(403, &past, "{}"),
            ForgeError::RateLimited { retry_after: Duration::ZERO, .. }
        ));
    }

    #[test]
    fn a_page_of_a_proxy_is_shown_by_its_beginning() {
        let page = format!("<html>\n{}</html>", "x".repeat(100_000));
        assert!(error_of(502, &[], &page).to_string().len() < 1000);
        assert!(error_of(500, &[], "").to_string().ends_with("no message"));
        let status = StatusCode::OK;
        assert!(read("testing", status, &HeaderMap::new(), b"<html>").is_err());
    }
}
