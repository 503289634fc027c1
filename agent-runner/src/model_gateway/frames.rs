//! Cuts a streamed answer into its events, wherever the network cut it.
//!
//! Invariant: the events, put together again, are the stream, byte by byte.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

/// Longest event that is waited for, in bytes.
const FRAME_MAX: usize = 16 << 20;

/// How a stream is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON array whose elements come one after another.
    JsonArray,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    /// All of its bytes, with what separates it.
    pub(super) raw: Bytes,
    /// What it says, when that is JSON.
    pub(super) data: Option<Value>,
}

/// An event is longer than is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the answer is longer than {FRAME_MAX} bytes")]
pub(super) struct TooLong;

/// A stream that arrives in pieces.
#[derive(Debug)]
pub(super) struct Frames {
    framing: Framing,
    buffer: BytesMut,
    /// How much of the buffer was looked at.
    seen: usize,
    /// Where the current line begins (server-sent events).
    line: usize,
    /// Where we are within a JSON element.
    depth: usize,
    text: Text,
}

/// Whether a byte of JSON is structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    Escaped,
}

impl Frames {
    pub(super) fn new(framing: Framing) -> Self {
        Self { framing, buffer: BytesMut::new(), seen: 0, line: 0, depth: 0, text: Text::Outside }
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole event, if it is there.
    ///
    /// # Errors
    /// When it does not come to an end.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, TooLong> {
        let end = match self.framing {
            Framing::Sse => self.end_of_event(),
            Framing::JsonArray => self.end_of_element(),
        };
        match end {
            Some(end) => Ok(Some(self.take(end))),
            None if self.buffer.len() > FRAME_MAX => Err(TooLong),
            None => Ok(None),
        }
    }

    /// What is left at the end of the stream.
    pub(super) fn rest(&mut self) -> Option<Frame> {
        (!self.buffer.is_empty()).then(|| self.take(self.buffer.len()))
    }

    fn take(&mut self, end: usize) -> Frame {
        let raw = self.buffer.split_to(end).freeze();
        (self.seen, self.line) = (0, 0);
        let data = match self.framing {
            Framing::Sse => data_of_event(&raw),
            Framing::JsonArray => data_of_element(&raw),
        };
        Frame { raw, data }
    }

    /// After an empty line. A carriage return may be one half of a line's end.
    fn end_of_event(&mut self) -> Option<usize> {
        loop {
            let ahead = &self.buffer[self.seen..];
            let Some(at) = ahead.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.seen = self.buffer.len();
                return None;
            };
            let at = self.seen + at;
            let width = match (self.buffer[at], self.buffer.get(at + 1)) {
                (b'\r', None) => {
                    self.seen = at;
                    return None;
                }
                (b'\r', Some(b'\n')) => 2,
                _ => 1,
            };
            let is_empty = at == self.line;
            (self.seen, self.line) = (at + width, at + width);
            if is_empty {
                return Some(self.line);
            }
        }
    }

    /// After the bracket that closes an element of the array.
    fn end_of_element(&mut self) -> Option<usize> {
        while let Some(byte) = self.buffer.get(self.seen) {
            self.seen += 1;
            match (self.text, byte) {
                (Text::Escaped, _) => self.text = Text::Inside,
                (Text::Inside, b'\\') => self.text = Text::Escaped,
                (Text::Inside, b'"') => self.text = Text::Outside,
                (Text::Outside, b'"') => self.text = Text::Inside,
                (Text::Outside, b'{') => self.depth += 1,
                (Text::Outside, b'}') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(self.seen);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

fn data_of_event(raw: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(raw).ok()?;
    let lines = text.split(['\n', '\r']).filter_map(|line| line.strip_prefix("data:"));
    let data: Vec<&str> = lines.map(|data| data.strip_prefix(' ').unwrap_or(data)).collect();
    serde_json::from_str(&data.join("\n")).ok()
}

fn data_of_element(raw: &[u8]) -> Option<Value> {
    let start = raw.iter().position(|byte| *byte == b'{')?;
    serde_json::from_slice(&raw[start..]).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The events of a stream that comes in these pieces.
    fn frames(framing: Framing, pieces: &[&[u8]]) -> Vec<Frame> {
        let mut frames = Frames::new(framing);
        let mut all = Vec::new();
        for piece in pieces {
            frames.push(piece);
            while let Some(frame) = frames.next().unwrap() {
                all.push(frame);
            }
        }
        all.extend(frames.rest());
        all
    }

    fn said(frames: &[Frame]) -> Vec<Value> {
        frames.iter().filter_map(|frame| frame.data.clone()).collect()
    }

    const SSE: &str = "event: a\ndata: {\"n\":1}\n\n: note\n\ndata: {\"n\":\r\ndata: 2}\r\n\r\ndata:{\"n\":3}\r\rdata: [DONE]\n\n";
    const ARRAY: &str = "[{\"n\":1,\"t\":\"a } \\\" { b\"}\n,\r\n{\"n\":{\"m\":{}}}\n]";

    #[test]
    fn a_stream_cut_anywhere_has_the_same_events() {
        let events = [json!({"n": 1}), json!({"n": 2}), json!({"n": 3})];
        let elements = [json!({"n": 1, "t": "a } \" { b"}), json!({"n": {"m": {}}})];
        for (framing, stream, expected) in
            [(Framing::Sse, SSE, &events[..]), (Framing::JsonArray, ARRAY, &elements[..])]
        {
            let whole = frames(framing, &[stream.as_bytes()]);
            assert_eq!(said(&whole), expected);
            for at in 0..=stream.len() {
                let (head, tail) = stream.as_bytes().split_at(at);
                assert_eq!(frames(framing, &[head, tail]), whole, "cut at {at}");
            }
            let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(frames(framing, &bytes), whole, "byte by byte");
        }
    }

    #[test]
    fn an_event_is_let_out_as_soon_as_it_is_whole() {
        let mut frames = Frames::new(Framing::Sse);
        frames.push(b"data: {}\n");
        assert_eq!(frames.next(), Ok(None));
        frames.push(b"\n");
        assert!(frames.next().unwrap().is_some());
        let mut frames = Frames::new(Framing::JsonArray);
        frames.push(b"[{}");
        assert!(frames.next().unwrap().is_some());
    }

    #[test]
    fn an_event_without_end_is_not_waited_for() {
        let mut frames = Frames::new(Framing::Sse);
        frames.push(&vec![b'x'; FRAME_MAX + 1]);
        assert_eq!(frames.next(), Err(TooLong));
    }

    proptest! {
        #[test]
        fn the_events_are_the_stream(
            pieces in prop::collection::vec(prop::collection::vec(
                prop::sample::select(b"\r\n:{}[]\"\\, data x".to_vec()), 0..12), 0..12),
        ) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            for framing in [Framing::Sse, Framing::JsonArray] {
                let all = frames(framing, &pieces);
                let bytes: Vec<u8> = all.iter().flat_map(|frame| frame.raw.to_vec()).collect();
                prop_assert_eq!(&bytes, &pieces.concat());
                // The network's cuts are nothing to an event.
                let whole = pieces.concat();
                prop_assert_eq!(frames(framing, &[&whole]), all);
            }
        }
    }
}
