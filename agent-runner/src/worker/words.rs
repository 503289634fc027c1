//! What the words of an error tell, where nothing but words is there.
//!
//! Endpoints and CLIs change their words: what is not found here makes an ending less precise, never a
//! failure a success.

use std::time::Duration;

/// Longest wait that is believed.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

/// How a message says that too much was sent or written.
const CONTEXT: [&str; 9] = [
    "context_length",
    "context length",
    "context window",
    "maximum context",
    "prompt is too long",
    "input is too long",
    "too many tokens",
    "token limit",
    "token count exceeds",
];

/// How a message says that the key is not good.
const KEY: [&str; 7] = [
    "api key not valid",
    "authentication",
    "incorrect api key",
    "invalid api key",
    "invalid x-api-key",
    "not logged in",
    "unauthorized",
];

/// How a message says that no more may be asked for now.
const QUOTA: [&str; 6] =
    ["insufficient_quota", "quota", "rate limit", "rate_limit", "too many requests", "usage limit"];

/// How a message says that the model, or who watches over it, does not want to.
const REFUSAL: [&str; 6] = [
    "content_filter",
    "content filter",
    "content policy",
    "content_policy",
    "prohibited_content",
    "usage policy",
];

/// What stands before the time that one has to wait.
const BEFORE_WAIT: [&str; 8] = [
    "retry after",
    "retry-after",
    "retry in",
    "reset after",
    "resets in",
    "reset in",
    "try again in",
    "retrydelay",
];

/// Whether the work did not fit.
pub(super) fn is_about_context(message: &str) -> bool {
    has_any(message, &CONTEXT)
}

/// Whether the key was refused.
pub(super) fn is_about_key(message: &str) -> bool {
    has_any(message, &KEY)
}

/// Whether the work was declined.
pub(super) fn is_refusal(message: &str) -> bool {
    has_any(message, &REFUSAL)
}

/// Whether a limit was reached.
pub(super) fn is_about_quota(message: &str) -> bool {
    has_any(message, &QUOTA)
}

/// An HTTP status that a message names: `status 404`, `status: 404`, `status code 404`.
pub(super) fn status_in(message: &str) -> Option<u64> {
    let lower = message.to_ascii_lowercase();
    lower.match_indices("status").find_map(|(at, word)| {
        let rest = lower.get(at + word.len()..)?;
        let rest = rest.trim_start_matches([' ', ':', '=', '"']);
        let rest = rest.strip_prefix("code").unwrap_or(rest).trim_start_matches([' ', ':', '"']);
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|status| (400..600).contains(status))
    })
}

/// A number of seconds, as in the header `Retry-After`.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().and_then(within_reason)
}

/// How long a message says that one has to wait: `try again in 1m20s`, `retry after 30 seconds`.
pub(super) fn wait_in(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    BEFORE_WAIT.iter().find_map(|words| {
        let (_, rest) = lower.split_once(words)?;
        duration(rest.trim_start_matches([' ', ':', '"', '\\', '=']))
    })
}

/// The second since 1970 at which a limit ends, as one of the CLIs writes it: `usage limit reached|1795262400`.
pub(super) fn reset_in(message: &str) -> Option<u64> {
    let lower = message.to_ascii_lowercase();
    let (_, rest) = lower.split_once("limit reached|")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// A duration at the beginning of a text: numbers with units, or one number of seconds.
fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut total, mut found) = (text, 0.0, false);
    while let Some((number, after)) = number(rest) {
        let letters = after.trim_start();
        let unit: String = letters.chars().take_while(char::is_ascii_alphabetic).collect();
        let seconds = match unit.as_str() {
            "ms" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3_600.0,
            "d" | "day" | "days" => 86_400.0,
            _ if !found => return within_reason(number),
            _ => break,
        };
        (total, found) = (total + number * seconds, true);
        rest = letters.get(unit.len()..)?.trim_start();
    }
    within_reason(total).filter(|_| found)
}

/// A number at the beginning of a text, and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.trim_end_matches('.').parse().ok()?, rest))
}

fn within_reason(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|wait| *wait <= WAIT_MAX)
}

fn has_any(message: &str, words: &[&str]) -> bool {
    let lower = message.to_ascii_lowercase();
    words.iter().any(|words| lower.contains(words))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_are_found_in_the_words_of_several_endpoints() {
        let seconds = |text: &str| wait_in(text).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds("Rate limit reached. Please try again in 1.5s."), Some(1.5));
        assert_eq!(seconds("Please try again in 6m0s. Visit"), Some(360.0));
        assert_eq!(seconds("Your quota will reset after 1h2m3s."), Some(3_723.0));
        assert_eq!(seconds(r#"{"retryDelay":"30s"}"#), Some(30.0));
        assert_eq!(seconds("retry-after: 17"), Some(17.0));
        assert_eq!(seconds("Retry after 2 minutes, please"), Some(120.0));
        assert_eq!(seconds("try again in 200ms"), Some(0.2));
        assert_eq!(seconds("try again in a while"), None);
        assert_eq!(seconds("try again later"), None);
        assert_eq!(seconds("retry in 99999999999999999999s"), None);
    }

    #[test]
    fn the_second_at_which_a_limit_ends_is_found() {
        assert_eq!(reset_in("Claude AI usage limit reached|1795262400"), Some(1_795_262_400));
        for text in ["usage limit reached", "usage limit reached|soon", "limit reached|"] {
            assert_eq!(reset_in(text), None, "{text}");
        }
    }

    #[test]
    fn a_status_is_found_where_a_message_calls_it_one() {
        assert_eq!(status_in("unexpected status 404 Not Found: x"), Some(404));
        assert_eq!(status_in(r#"{"statusCode": 429}"#), Some(429));
        assert_eq!(status_in("last status: 503, url: x"), Some(503));
        assert_eq!(status_in("status code 401"), Some(401));
        assert_eq!(status_in("status 200 then status 500"), Some(500));
        assert_eq!(status_in("401 somewhere"), None);
    }

    proptest! {
        #[test]
        fn no_words_are_too_strange(text in ".{0,200}", number in any::<u64>()) {
            let _any = (wait_in(&text), status_in(&text));
            let _any = (wait_in(&format!("retry in {number}{text}")), status_in(&format!("status {number}")));
        }
    }
}
