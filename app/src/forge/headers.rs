//! What the headers of an answer say: how long to wait, where a list goes on, what time it is. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api_client::http::seconds_of_date;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, LINK, RETRY_AFTER};
use url::Url;

use crate::clock::Timestamp;

/// The pause after a limit that names none, as GitHub's documentation asks for. It answers some of them with
/// a plain 403 that says so in words.
const UNNAMED_PAUSE: Duration = Duration::from_secs(60);
/// The shortest pause, also where the forge's clock is behind ours.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// The longest pause: limits begin anew each hour.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// A reset below this is a number of seconds from now, above it a point in time since 1970.
const POINT_IN_TIME: u64 = 1_000_000_000;

const REMAINING: [&str; 2] = ["x-ratelimit-remaining", "ratelimit-remaining"];
const RESET: [&str; 2] = ["x-ratelimit-reset", "ratelimit-reset"];

/// The pause that an answer asks for, if it is that of a limit: GitHub answers 403 as well.
pub(super) fn pause(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Duration> {
    let limited = match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => {
            headers.contains_key(RETRY_AFTER) || left(headers) == Some(0) || names_a_limit(body)
        }
        _ => false,
    };
    limited.then(|| asked_for(headers).unwrap_or(UNNAMED_PAUSE).clamp(PAUSE_MIN, PAUSE_MAX))
}

fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    if let Some(seconds) = number(headers, RETRY_AFTER.as_str()) {
        return Some(Duration::from_secs(seconds));
    }
    // With something left it is another limit, and not the one that begins anew then.
    if left(headers).is_some_and(|left| left > 0) {
        return None;
    }
    let reset = RESET.into_iter().find_map(|name| number(headers, name))?;
    if reset < POINT_IN_TIME {
        return Some(Duration::from_secs(reset));
    }
    let reset = UNIX_EPOCH.checked_add(Duration::from_secs(reset))?;
    Some(reset.duration_since(SystemTime::now()).unwrap_or_default())
}

fn left(headers: &HeaderMap) -> Option<u64> {
    REMAINING.into_iter().find_map(|name| number(headers, name))
}

fn names_a_limit(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).to_ascii_lowercase().contains("rate limit")
}

/// The query of a list's next page, by the `Link` header or by GitLab's `x-next-page`. Of a link nothing
/// else is taken: it may be written for another name of the forge.
pub(super) fn next_page(headers: &HeaderMap, url: &Url) -> Option<String> {
    if let Some(link) = headers.get(LINK).and_then(|link| link.to_str().ok()) {
        let next = link.split(',').find(|link| link.contains("rel=\"next\""))?;
        let target = next.trim().strip_prefix('<')?.split('>').next()?;
        return url.join(target).ok()?.query().map(str::to_owned);
    }
    let page = number(headers, "x-next-page")?;
    query_of_page(url, usize::try_from(page).ok()?)
}

/// The query of a list's page by its number, from 1.
pub(super) fn query_of_page(url: &Url, page: usize) -> Option<String> {
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "page")
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair("page", &page.to_string());
    url.query().map(str::to_owned)
}

/// How many entries a list has in all: of some lists Gitea tells no more than that.
pub(super) fn total(headers: &HeaderMap) -> Option<usize> {
    usize::try_from(number(headers, "x-total-count")?).ok()
}

/// The forge's time, in whole seconds.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let seconds = seconds_of_date(headers.get(DATE)?.to_str().ok()?)?;
    Some(Timestamp::from_millis(i64::try_from(seconds).ok()?.checked_mul(1_000)?))
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        given.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_limit_asks_for_a_pause_and_a_plain_refusal_does_not() {
        let pause_of = |status, given: &[(&'static str, &str)]| {
            let status = StatusCode::from_u16(status).unwrap();
            pause(status, &headers(given), b"no").map(|p| p.as_secs())
        };
        assert_eq!(pause_of(429, &[("retry-after", "7")]), Some(7));
        assert_eq!(pause_of(403, &[("retry-after", "7")]), Some(7));
        assert_eq!(pause_of(429, &[]), Some(60));
        assert_eq!(pause_of(429, &[("ratelimit-reset", "45")]), Some(45));
        assert_eq!(
            pause_of(429, &[("retry-after", "90000")]),
            Some(3_600),
            "no longer than an hour"
        );
        let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 100;
        let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &soon.to_string())];
        assert!((90..=100).contains(&pause_of(403, &used_up).unwrap()));
        let other = [("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", &soon.to_string())];
        assert_eq!(pause_of(429, &other), Some(60), "a limit of another kind");
        assert_eq!(pause_of(429, &[("retry-after", "0")]), Some(2));
        let past = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000000")];
        assert_eq!(pause_of(403, &past), Some(2), "our clock may be ahead");
        let words = br#"{"message":"You have exceeded a secondary Rate Limit."}"#;
        let said = pause(StatusCode::FORBIDDEN, &headers(&[]), words);
        assert_eq!(said, Some(UNNAMED_PAUSE));
        assert_eq!(pause_of(403, &[("x-ratelimit-remaining", "12")]), None);
        assert_eq!(pause_of(503, &[("retry-after", "7")]), None);
    }

    #[test]
    fn a_list_goes_on_where_the_forge_says_and_at_no_other_host() {
        let url: Url = "https://api.example/r/comments?per_page=100".parse().unwrap();
        let link = "<https://evil.example/x?page=1>; rel=\"prev\", \
            <https://evil.example/x?per_page=100&page=3>; rel=\"next\"";
        let next = next_page(&headers(&[("link", link)]), &url);
        assert_eq!(next.as_deref(), Some("per_page=100&page=3"));
        let next = next_page(&headers(&[("x-next-page", "2")]), &url);
        assert_eq!(next.as_deref(), Some("per_page=100&page=2"));
        assert_eq!(next_page(&headers(&[("x-next-page", "")]), &url), None);
    }
}
