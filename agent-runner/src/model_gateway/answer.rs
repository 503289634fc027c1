//! The provider's answer on its way back: counted, cut at the budget, without the key.
//!
//! Invariant: an event is passed on only when the account has room for it, so that a caller never sees
//! more tokens than the job may have.

use std::convert::Infallible;
use std::io;

use api_client::{Redactor, http};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame as BodyFrame;
use hyper::{HeaderMap, StatusCode, header};
use serde_json::Value;
use tokio::time::timeout;

use super::Gate;
use super::budget::Standing;
use super::call::{Call, End};
use super::frames::{Frame, Frames, Framing};
use super::refusal::{Refusal, budget_refusal};
use super::request;
use super::usage::Reading;
use super::wire::Wire;

/// Largest answer that is read as a whole, in bytes.
const WHOLE_MAX: usize = 64 << 20;

/// The body of an answer. That it breaks off is told by breaking off.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A text as a body.
pub(super) fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// The provider's headers for the caller.
pub(super) fn headers(gate: &Gate, upstream: &HeaderMap) -> HeaderMap {
    let is_clean = |text: &str| gate.redactor.redact(text) == text;
    let passed = request::passed_on(upstream).into_iter();
    // None of these may say the key.
    let clean = passed.filter(|(_, value)| value.to_str().map_or(true, is_clean));
    clean.filter_map(|(name, value)| Some((name?, value))).collect()
}

/// How an answer is divided, when it is.
pub(super) fn framing(call: &Call, headers: &HeaderMap) -> Option<Framing> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match kind {
        "text/event-stream" => Some(Framing::Sse),
        "application/json" => call.route().json_framing(),
        _ => None,
    }
}

/// Reads a whole answer and passes it on, if the account allows.
///
/// # Errors
/// When it does not come, or is too much.
pub(super) async fn read_whole(
    gate: &Gate,
    call: &mut Call,
    mut upstream: reqwest::Response,
) -> Result<Bytes, Refusal> {
    let mut body = BytesMut::new();
    let is_success = upstream.status().is_success();
    while let Some(piece) = next_piece(gate, &mut upstream).await? {
        body.extend_from_slice(&piece);
        if body.len() > WHOLE_MAX {
            let message = format!("the provider's answer is longer than {WHOLE_MAX} bytes");
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, message));
        }
    }
    let value = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    if let Some(words) = budget_refusal(&value) {
        gate.ledger.end(words.to_owned());
    }
    if is_success && call.route().generates() {
        let mut reading = Reading::of(call.route().wire, &value);
        if reading.output.is_none() {
            reading.written = body.len();
        }
        if call.hear(reading) == Standing::Exceeded {
            return Err(gate.exhausted());
        }
    }
    call.ends(End::Whole);
    Ok(redacted(&gate.redactor, body.freeze()))
}

/// The next piece of an answer, waited for as long as a provider may be silent.
async fn next_piece(
    gate: &Gate,
    upstream: &mut reqwest::Response,
) -> Result<Option<Bytes>, Refusal> {
    let broke_off = |error| {
        let message = format!("the provider broke off: {}", http::describe(error));
        Refusal::new(StatusCode::BAD_GATEWAY, message)
    };
    tokio::select! {
        biased;
        () = gate.ledger.exhausted().cancelled() => Err(gate.exhausted()),
        piece = timeout(gate.silence.within, upstream.chunk()) => match piece {
            Ok(piece) => piece.map_err(broke_off),
            Err(_) => Err(Gate::silent(gate.silence.within)),
        },
    }
}

/// An answer that comes in pieces.
pub(super) struct Stream {
    gate: std::sync::Arc<Gate>,
    call: Call,
    /// Nothing once it was ended.
    upstream: Option<reqwest::Response>,
    framing: Framing,
    frames: Frames,
    /// Whether the caller did not ask for the event about tokens.
    hides_usage: bool,
    is_first: bool,
}

impl Stream {
    /// An answer of this call.
    pub(super) fn new(
        gate: std::sync::Arc<Gate>,
        call: Call,
        upstream: reqwest::Response,
        framing: Framing,
        hides_usage: bool,
    ) -> Self {
        let frames = Frames::new(framing);
        Self { gate, call, upstream: Some(upstream), framing, frames, hides_usage, is_first: true }
    }

    /// The body of the answer to the caller.
    pub(super) fn into_body(self) -> Body {
        let pieces = stream::unfold(self, |mut answer| async move {
            let piece = answer.next().await.transpose()?;
            Some((piece.map(BodyFrame::data), answer))
        });
        StreamBody::new(pieces).boxed_unsync()
    }

    /// What may be passed on next; nothing at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let Some(upstream) = &mut self.upstream else { return Ok(None) };
            let passed = match self.frames.next() {
                Ok(Some(frame)) => self.pass(frame),
                Err(error) => {
                    let refusal = Refusal::new(StatusCode::BAD_GATEWAY, error.to_string());
                    Some(self.cut(&refusal))
                }
                Ok(None) => match next_piece(&self.gate, upstream).await {
                    Ok(Some(piece)) => {
                        self.frames.push(&piece);
                        None
                    }
                    Ok(None) => return Ok(self.finish()),
                    Err(refusal) if refusal.status == StatusCode::BAD_GATEWAY => {
                        self.upstream = None;
                        self.call.ends(End::BrokeOff);
                        return Err(io::Error::other(refusal.message));
                    }
                    Err(refusal) => Some(self.cut(&refusal)),
                },
            };
            if passed.is_some() {
                return Ok(passed);
            }
        }
    }

    /// The rest, which nothing follows.
    fn finish(&mut self) -> Option<Bytes> {
        let rest = self.frames.rest();
        self.call.ends(End::Whole);
        let rest = rest.and_then(|rest| self.pass(rest));
        self.upstream = None;
        rest
    }

    /// Counts an event; what of it may be passed on, and what follows it when it is the last.
    fn pass(&mut self, frame: Frame) -> Option<Bytes> {
        let data = frame.data.unwrap_or_default();
        if let Some(words) = budget_refusal(&data) {
            self.gate.ledger.end(words.to_owned());
        }
        let reading = Reading::of(self.call.route().wire, &data);
        let is_end_of_usage = self.hides_usage && is_usage_alone(self.call.route().wire, &data);
        let standing = self.call.hear(reading);
        if standing == Standing::Exceeded {
            return Some(self.cut(&self.gate.exhausted()));
        }
        if is_end_of_usage {
            return None;
        }
        let passed = redacted(&self.gate.redactor, frame.raw);
        self.is_first = false;
        if standing == Standing::Within {
            return Some(passed);
        }
        let last = self.cut(&self.gate.exhausted());
        Some([passed, last].concat().into())
    }

    /// Ends the stream: the provider's connection is dropped, the caller gets an error.
    fn cut(&mut self, refusal: &Refusal) -> Bytes {
        self.upstream = None;
        self.call.refuse(refusal);
        let wire = self.call.route().wire;
        let event = wire.error_event(self.framing, refusal, self.is_first);
        redacted(&self.gate.redactor, event.into())
    }
}

/// Whether a chunk of chat completions has tokens and nothing else.
fn is_usage_alone(wire: Wire, data: &Value) -> bool {
    wire == Wire::Chat
        && data["usage"].is_object()
        && data["choices"].as_array().is_some_and(Vec::is_empty)
}

/// Bytes without the key.
pub(super) fn redacted(redactor: &Redactor, bytes: Bytes) -> Bytes {
    let text = String::from_utf8_lossy(&bytes);
    let clean = redactor.redact(&text);
    if clean == text { bytes } else { clean.into_owned().into() }
}
