//! Reads the forge's answers. Pure.

use std::time::Duration;

use api_client::Secret;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::AppError;

/// Longest part of the forge's words that an error repeats, in characters.
const SHOWN_MAX_CHARS: usize = 300;

/// An installation of the App.
#[derive(Debug, Deserialize)]
pub(super) struct Installation {
    pub(super) id: u64,
}

/// A token as the forge tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    pub(super) token: Secret,
    /// `2026-11-21T10:00:00Z`.
    #[serde(default)]
    pub(super) expires_at: String,
}

#[derive(Deserialize)]
struct Words {
    message: String,
}

/// The body of a good answer, or the error that the answer stands for. A 404 and a 422 are left to the
/// caller, who knows what was not there: `Ok(Err(words))`.
pub(super) fn read<T: DeserializeOwned>(
    attempted: &'static str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Result<T, String>, AppError> {
    if status.is_success() {
        // The parser's message may quote the token.
        let parsed = serde_json::from_slice(body).map_err(|error| AppError::Malformed {
            attempted,
            reason: format!("line {}, column {}", error.line(), error.column()),
        });
        return parsed.map(Ok);
    }
    let message = words(status, body);
    match status.as_u16() {
        404 | 422 => Ok(Err(message)),
        401 if is_about_time(&message) => {
            let date = headers.get(DATE).and_then(|date| date.to_str().ok());
            let forge_time = date.unwrap_or("nothing").to_owned();
            Err(AppError::Clock { message, forge_time })
        }
        401 => Err(AppError::Unauthorised { message }),
        429 | 500.. => {
            let reason = format!("status {status}: {message}");
            Err(AppError::Unreachable { attempted, reason, retry_after: retry_after(headers) })
        }
        // A limit of requests is told so, or by this header.
        403 if headers.contains_key(RETRY_AFTER) || message.contains("rate limit") => {
            let retry_after = retry_after(headers);
            Err(AppError::Unreachable { attempted, reason: message, retry_after })
        }
        status => Err(AppError::Refused { attempted, status, message }),
    }
}

/// The claims `iat` and `exp` of our statement are what the forge names when the clocks differ.
fn is_about_time(message: &str) -> bool {
    ["'Expiration time'", "'Issued at'", "('exp')", "('iat')"]
        .iter()
        .any(|claim| message.contains(claim))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn words(status: StatusCode, body: &[u8]) -> String {
    let words = serde_json::from_slice::<Words>(body).map(|words| words.message);
    let words = words.unwrap_or_else(|_| status.to_string());
    words.chars().filter(|c| !c.is_control()).take(SHOWN_MAX_CHARS).collect()
}

/// Seconds since 1970 of a time in the form `2026-11-21T10:00:00Z`.
pub(crate) fn seconds_of(time: &str) -> Option<u64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, by: char| -> Option<[u64; 3]> {
        let parts: Option<Vec<u64>> = text.split(by).map(|part| part.parse().ok()).collect();
        parts?.try_into().ok()
    };
    let [year, month, day] = numbers(date, '-')?;
    let clock = clock.split('.').next()?;
    let [hour, minute, second] = numbers(clock, ':')?;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The year begins in March here, so that the day that comes and goes is its last.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1;
    // 1 March of the year 0 was 719,468 days before 1970.
    Some((days.checked_sub(719_468)? * 24 + hour) * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn error(status: u16, headers: &[(&'static str, &str)], message: &str) -> AppError {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let body = json!({ "message": message }).to_string();
        let status = StatusCode::from_u16(status).unwrap();
        read::<Value>("trying", status, &map, body.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_wrong_is_told_apart_by_what_to_do() {
        let exp = "'Expiration time' claim ('exp') must be a numeric value in the future";
        let date = [("date", "Sat, 21 Nov 2026 10:00:00 GMT")];
        let clock = error(401, &date, exp).to_string();
        assert!(clock.contains("clock (the forge's own says Sat, 21 Nov 2026"), "{clock}");
        let key = error(401, &[], "A JSON web token could not be decoded");
        assert!(matches!(key, AppError::Unauthorised { .. }), "{key}");
        let suspended = error(403, &[], "This installation has been suspended");
        assert!(matches!(suspended, AppError::Refused { status: 403, .. }), "{suspended}");
        for busy in [
            error(502, &[], "x"),
            error(429, &[("retry-after", "7")], "x"),
            error(403, &[], "You have exceeded a secondary rate limit"),
        ] {
            assert!(busy.is_transient(), "{busy}");
        }
        let asked = error(503, &[("retry-after", "7")], "x").retry_after();
        assert_eq!(asked, Some(Duration::from_secs(7)));
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_repeated() {
        let body = br#"{"token":12,"secret":"ghs_secret"}"#;
        let read = read::<Told>("trying", StatusCode::CREATED, &HeaderMap::new(), body);
        let error = read.unwrap_err();
        assert!(!error.to_string().contains("ghs_") && !format!("{error:?}").contains("ghs_"));
    }

    #[test]
    fn the_forge_s_times_are_read() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2016-07-11T22:14:10Z", 1_468_275_250),
            ("2026-11-21T10:00:00.123Z", 1_795_255_200),
        ] {
            assert_eq!(seconds_of(text), Some(seconds), "{text}");
        }
        for wrong in ["", "2026-11-21", "2026-13-01T00:00:00Z", "2026-11-21T10:00:00+01:00"] {
            assert_eq!(seconds_of(wrong), None, "{wrong}");
        }
    }
}
