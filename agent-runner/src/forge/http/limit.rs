//! Limits of a forge on our requests, and the pause that it asks for. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The pause after a limit that names none, as GitHub's documentation asks for.
const UNNAMED_PAUSE: Duration = Duration::from_secs(60);
/// A reset below this is a number of seconds from now, above it a point in time since 1970.
const POINT_IN_TIME: u64 = 1_000_000_000;

/// What is left of a limit, by the names of GitHub and of GitLab.
const REMAINING: [&str; 2] = ["x-ratelimit-remaining", "ratelimit-remaining"];
/// When it begins anew.
const RESET: [&str; 2] = ["x-ratelimit-reset", "ratelimit-reset"];

/// The pause that is due, if the answer is that of a limit: GitHub answers 403 as well, to its
/// secondary limits without saying how long.
pub(super) fn pause(status: StatusCode, headers: &HeaderMap, message: &str) -> Option<Duration> {
    let limited = match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => {
            headers.contains_key(RETRY_AFTER)
                || is_used_up(headers)
                || message.to_ascii_lowercase().contains("rate limit")
        }
        _ => false,
    };
    limited.then(|| asked_for(headers).unwrap_or(UNNAMED_PAUSE))
}

/// `Retry-After` in seconds, or until the limit's reset.
fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    if let Some(seconds) = number(headers, RETRY_AFTER.as_str()) {
        return Some(Duration::from_secs(seconds));
    }
    if !is_used_up(headers) {
        return None;
    }
    let reset = RESET.into_iter().find_map(|name| number(headers, name))?;
    if reset < POINT_IN_TIME {
        return Some(Duration::from_secs(reset));
    }
    let reset = UNIX_EPOCH.checked_add(Duration::from_secs(reset))?;
    // A reset in the past needs no pause.
    Some(reset.duration_since(SystemTime::now()).unwrap_or_default())
}

fn is_used_up(headers: &HeaderMap) -> bool {
    REMAINING.into_iter().any(|name| number(headers, name) == Some(0))
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause_of(status: u16, headers: &[(&'static str, &str)], message: &str) -> Option<u64> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        pause(status, &headers, message).map(|pause| pause.as_secs())
    }

    #[test]
    fn limits_are_known_by_status_headers_or_words() {
        let secondary = "You have exceeded a secondary rate limit.";
        assert_eq!(pause_of(429, &[("retry-after", "7")], ""), Some(7));
        assert_eq!(pause_of(403, &[("retry-after", "7")], ""), Some(7));
        assert_eq!(pause_of(403, &[], secondary), Some(60));
        assert_eq!(pause_of(429, &[], "Retry later"), Some(60));
        for (status, headers, message) in [
            (403, &[][..], "Resource not accessible by personal access token"),
            (403, &[("x-ratelimit-remaining", "12")][..], "no"),
            (503, &[("retry-after", "7")][..], secondary),
            (404, &[("x-ratelimit-remaining", "0")][..], "Not Found"),
        ] {
            assert_eq!(pause_of(status, headers, message), None, "{status} {message}");
        }
    }

    #[test]
    fn a_limit_that_is_used_up_names_its_reset() {
        let github = |reset: &str| {
            pause_of(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)], "")
        };
        assert_eq!(github("1000000001"), Some(0), "in the past");
        let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 100;
        assert!((90..=100).contains(&github(&soon.to_string()).unwrap()));
        assert_eq!(github("x"), Some(60));
        let soon = soon.to_string();
        let gitlab = [("ratelimit-remaining", "0"), ("ratelimit-reset", soon.as_str())];
        assert!((90..=100).contains(&pause_of(429, &gitlab, "").unwrap()));
        let seconds = [("ratelimit-remaining", "0"), ("ratelimit-reset", "45")];
        assert_eq!(pause_of(429, &seconds, ""), Some(45));
    }
}
