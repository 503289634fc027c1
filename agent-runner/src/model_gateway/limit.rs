//! How long a provider's limit holds, as the headers of its answer say.
//!
//! Invariant: a header that cannot be read says nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api_client::UtcTime;
use api_client::http::seconds_of_date;
use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};

/// Longest wait that is believed: no provider's limit holds for more than a month.
const WAIT_MAX: Duration = Duration::from_secs(31 * 24 * 3_600);

/// Headers with a second since 1970, from which on a subscription is let in again.
const AT_SECOND: [&str; 1] = ["anthropic-ratelimit-unified-reset"];

/// Kinds of limits that have headers of their own: what is left of each, and when it is whole again.
const ANTHROPIC: [&str; 4] = ["requests", "tokens", "input-tokens", "output-tokens"];
const OPENAI: [&str; 2] = ["requests", "tokens"];

/// How long the provider wants to be left alone: what it says itself, else, of an answer that refuses for a
/// limit, until the last of the limits is whole again that are used up.
pub(crate) fn wait_of(
    status: StatusCode,
    headers: &HeaderMap,
    now: SystemTime,
) -> Option<Duration> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let until = |second: u64| Duration::from_secs(second).saturating_sub(now);
    let believed = |wait: &Duration| *wait <= WAIT_MAX;
    if let Some(said) = text(RETRY_AFTER.as_str()) {
        let seconds = said.parse().ok().map(Duration::from_secs);
        return seconds.or_else(|| seconds_of_date(said).map(until)).filter(believed);
    }
    if status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let at_second = AT_SECOND.into_iter().find_map(|name| text(name)?.parse().ok()).map(until);
    let used_up =
        |prefix: &str, kind: &str| text(&format!("{prefix}-{kind}-remaining")) == Some("0");
    let anthropic = ANTHROPIC.into_iter().filter(|kind| used_up("anthropic-ratelimit", kind));
    let anthropic = anthropic.filter_map(|kind| {
        let at: UtcTime = text(&format!("anthropic-ratelimit-{kind}-reset"))?.parse().ok()?;
        Some(until(at.seconds()))
    });
    let is_zero = |kind: &&str| text(&format!("x-ratelimit-remaining-{kind}")) == Some("0");
    let openai = OPENAI.into_iter().filter(is_zero);
    let openai = openai.filter_map(|kind| span(text(&format!("x-ratelimit-reset-{kind}"))?));
    at_second.into_iter().chain(anthropic).chain(openai).filter(believed).max()
}

/// A span as in `6m0s`, `1h2m3s`, `1.5s` or `20ms`.
fn span(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let length = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(length)?;
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    /// Saturday, 21 November 2026, 10:00.
    const NOW: u64 = 1_795_255_200;

    fn wait(status: u16, pairs: &[(&'static str, &'static str)]) -> Option<u64> {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers = pairs.iter().map(pair).collect();
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        wait_of(StatusCode::from_u16(status).unwrap(), &headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wish_for_a_pause_is_read_as_seconds_and_as_a_date() {
        assert_eq!(wait(429, &[("retry-after", "5400")]), Some(5_400));
        assert_eq!(wait(503, &[("retry-after", "Sat, 21 Nov 2026 10:01:00 GMT")]), Some(60));
        assert_eq!(wait(429, &[("retry-after", "Sat, 21 Nov 2026 09:00:00 GMT")]), Some(0));
        assert_eq!(wait(429, &[("retry-after", "soon")]), None);
        assert_eq!(wait(429, &[]), None);
    }

    #[test]
    fn without_one_the_last_of_the_limits_counts_that_are_used_up() {
        let anthropic = [
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-21T10:00:30Z"),
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-21T10:10:00Z"),
            ("anthropic-ratelimit-output-tokens-remaining", "9"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-21T20:00:00Z"),
        ];
        assert_eq!(wait(429, &anthropic), Some(600));
        assert_eq!(wait(200, &anthropic), None, "who was answered need not wait");
        assert_eq!(wait(429, &[("anthropic-ratelimit-unified-reset", "1795262400")]), Some(7_200));
        let openai = [
            ("x-ratelimit-remaining-requests", "3"),
            ("x-ratelimit-reset-requests", "9h0m0s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "1h2m3.5s"),
        ];
        assert_eq!(wait(429, &openai), Some(3_723));
    }

    #[test]
    fn spans_are_read_and_nothing_else() {
        for (text, millis) in [("6m0s", 360_000), ("20ms", 20), ("1.5s", 1_500), ("2h", 7_200_000)]
        {
            assert_eq!(span(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5 s", "5x", "1e9h", "-1s", "9".repeat(400).as_str()] {
            assert_eq!(span(text), None, "{text}");
        }
    }
}
