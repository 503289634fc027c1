//! Receiving the bytes of a request.
//!
//! Invariant: what is refused is received all the same and thrown away, since a caller that is
//! still sending would see a broken connection in place of the refusal, and try again for ever.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, Bytes, HttpBody};

use crate::error::ApiError;

/// Largest body, in bytes, but for log entries.
pub(crate) const BODY_MAX: usize = 1 << 20;

/// Largest log entry, in bytes: the original app has no limit, and 50 MB were seen to work.
pub(crate) const LOG_BODY_MAX: usize = 64 << 20;

/// Of a refused body no more than this (bytes) is received; then the connection breaks.
const DISCARD_MAX: usize = 2 * LOG_BODY_MAX;

/// The whole body, of at most `max` bytes.
pub(crate) async fn receive(mut body: Body, max: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(piece) = next(&mut body).await {
        let piece = piece.map_err(|_| ApiError::Invalid("the body broke off".to_owned()))?;
        if bytes.len() + piece.len() > max {
            discard(body).await;
            return Err(ApiError::TooLarge { max });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Throws a body away.
pub(crate) async fn discard(mut body: Body) {
    let mut received = 0;
    while let Some(Ok(piece)) = next(&mut body).await {
        received += piece.len();
        if received > DISCARD_MAX {
            return;
        }
    }
}

async fn next(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) => return Some(Ok(data)),
            Ok(Err(_trailers)) => {}
            Err(error) => return Some(Err(error)),
        }
    }
}
