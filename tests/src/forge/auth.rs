//! Who may come in: one token, carried as GitHub accepts it.
//!
//! Git sends it as the password of Basic auth, with any user name; the REST
//! API takes `Bearer`, `token` and Basic.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The token a client must present. It cannot be printed.
#[derive(Clone)]
pub struct Token(String);

/// Why a text cannot be a token.
#[derive(Debug, thiserror::Error)]
#[error("the token must be 1 or more printable ASCII characters without spaces")]
pub struct TokenError;

/// What a request brought with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credentials {
    Missing,
    Wrong,
    Accepted,
}

impl Token {
    /// Accepts what can travel in a header unchanged.
    pub fn new(text: impl Into<String>) -> Result<Self, TokenError> {
        let text = text.into();
        let usable = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if usable { Ok(Self(text)) } else { Err(TokenError) }
    }

    /// Whether this text is the token.
    pub(super) fn is(&self, text: &str) -> bool {
        text == self.0
    }
}

/// Judges a git request: Basic auth only.
pub(super) fn judge_git(headers: &HeaderMap, accepts: impl Fn(&str) -> bool) -> Credentials {
    judge(headers, accepts, |scheme, value| match scheme {
        "basic" => basic_password(value),
        _ => None,
    })
}

/// Judges a request to the REST API.
pub(super) fn judge_api(headers: &HeaderMap, accepts: impl Fn(&str) -> bool) -> Credentials {
    judge(headers, accepts, |scheme, value| match scheme {
        "basic" => basic_password(value),
        "bearer" | "token" => Some(value.to_owned()),
        _ => None,
    })
}

fn judge(
    headers: &HeaderMap,
    accepts: impl Fn(&str) -> bool,
    read: impl Fn(&str, &str) -> Option<String>,
) -> Credentials {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Credentials::Missing;
    };
    let given = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .and_then(|(scheme, value)| read(&scheme.to_ascii_lowercase(), value.trim()));
    if given.is_some_and(|given| accepts(&given)) {
        Credentials::Accepted
    } else {
        Credentials::Wrong
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn basic_password(value: &str) -> Option<String> {
    let decoded = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    decoded.split_once(':').map(|(_user, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn judged(value: Option<&str>) -> (Credentials, Credentials) {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let token = Token::new("sesame").unwrap();
        let accepts = |given: &str| token.is(given);
        (judge_git(&headers, accepts), judge_api(&headers, accepts))
    }

    #[test]
    fn the_token_is_a_password_for_git_and_a_bearer_for_the_api() {
        use Credentials::{Accepted, Missing, Wrong};
        let basic = format!("Basic {}", STANDARD.encode("x-access-token:sesame"));
        let wrong = format!("Basic {}", STANDARD.encode("sesame:guess"));
        assert_eq!(judged(None), (Missing, Missing));
        assert_eq!(judged(Some(&basic)), (Accepted, Accepted));
        assert_eq!(judged(Some(&wrong)), (Wrong, Wrong));
        assert_eq!(judged(Some("Bearer sesame")), (Wrong, Accepted));
        assert_eq!(judged(Some("token sesame")), (Wrong, Accepted));
        assert_eq!(judged(Some("Bearer other")), (Wrong, Wrong));
    }

    #[test]
    fn a_token_cannot_be_printed_nor_hold_a_newline() {
        assert_eq!(format!("{:?}", Token::new("sesame").unwrap()), "Token(…)");
        assert!(Token::new("a\nb").is_err());
        assert!(Token::new("").is_err());
    }
}
