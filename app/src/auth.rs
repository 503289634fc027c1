//! The bearer key. When the server has one, every request must carry it, whatever it asks for, and
//! nothing else of the request is looked at before. (The original app leaves its boards and
//! settings open.)

use api_client::Secret;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;

use crate::error::ApiError;
use crate::receive::discard;
use crate::state::App;

/// Lets a request through or refuses it with 401.
pub(crate) async fn require_key(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if let Some(key) = app.key()
        && let Err(refusal) = check(key, request.headers().get(AUTHORIZATION))
    {
        discard(request.into_body()).await;
        return Err(refusal);
    }
    Ok(next.run(request).await)
}

/// As in the original app: the scheme in exactly this case, white space around the token ignored.
fn check(key: &Secret, header: Option<&HeaderValue>) -> Result<(), ApiError> {
    let token = header
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
        .ok_or(ApiError::NoToken)?
        .trim_ascii();
    // The time taken tells the length of the key at most, never a part of it.
    if bool::from(token.ct_eq(key.expose().as_bytes())) {
        Ok(())
    } else {
        Err(ApiError::WrongToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(header: Option<&'static str>) -> Result<(), ApiError> {
        let header = header.map(HeaderValue::from_static);
        check(&Secret::from("worker-key-1"), header.as_ref())
    }

    #[test]
    fn the_key_opens_and_space_around_it_does_not_matter() {
        assert!(answer(Some("Bearer worker-key-1")).is_ok());
        assert!(answer(Some("Bearer   worker-key-1  ")).is_ok());
    }

    #[test]
    fn another_scheme_or_another_case_is_no_token() {
        for header in [
            None,
            Some("Basic d29ya2VyLWtleS0x"),
            Some("bearer worker-key-1"),
            Some("worker-key-1"),
            Some("Bearer"),
        ] {
            assert!(matches!(answer(header), Err(ApiError::NoToken)), "{header:?}");
        }
    }

    #[test]
    fn another_token_is_refused() {
        for header in
            ["Bearer ", "Bearer worker-key-", "Bearer worker-key-12", "Bearer Worker-key-1"]
        {
            let refused = matches!(answer(Some(header)), Err(ApiError::WrongToken));
            assert!(refused, "{header}");
        }
    }
}
