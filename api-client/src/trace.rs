//! A job as a trace: the ids of W3C's Trace Context, and spans of our own.
//!
//! Both programs make the same few spans, so that no tracing framework is needed for them; they are sent
//! by [`otlp`](crate::otlp).

mod run;

use std::fmt::{self, Write};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

pub use self::run::{KnownRun, spans_of_run};

/// Id of a trace: 16 bytes, not all zero; 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// Id of a span: 8 bytes, not all zero; 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// The span that others are below of, as `TRACEPARENT` carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether anyone records it.
    pub sampled: Sampled,
}

/// Whether a trace is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// It is.
    Yes,
    /// It is not: spans of it are not sent.
    No,
}

/// A text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent such as 00-<32 hex digits>-<16 hex digits>-01")]
pub struct InvalidTraceParent;

/// A part of a job that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// What was done; one of a small set.
    pub name: String,
    /// The trace that it belongs to.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// The span that it is a part of.
    pub parent: Option<SpanId>,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// How it ended.
    pub end: SpanEnd,
    /// What else is known of it. Never a secret.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// How a part of a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanEnd {
    /// Nothing is said.
    Unset,
    /// As it should.
    Well,
    /// It failed: why, in a word.
    Failed(String),
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Words, or an id.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Another number.
    Decimal(f64),
}

impl TraceId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }

    /// The first 16 of these bytes, which are not all zero.
    #[must_use]
    pub fn of_digest(digest: &[u8; 32]) -> Option<Self> {
        let (bytes, _) = digest.split_first_chunk()?;
        (*bytes != [0; 16]).then_some(Self(*bytes))
    }
}

impl SpanId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        let bytes = Uuid::new_v4().into_bytes();
        // This half has the two bits that are never both zero.
        let (_, half) = bytes.split_at(8);
        let mut id = [0; 8];
        id.copy_from_slice(half);
        Self(id)
    }

    /// The last 8 of these bytes, which are not all zero.
    #[must_use]
    pub fn of_digest(digest: &[u8; 32]) -> Option<Self> {
        let (_, bytes) = digest.split_last_chunk()?;
        (*bytes != [0; 8]).then_some(Self(*bytes))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = match self.sampled {
            Sampled::Yes => "01",
            Sampled::No => "00",
        };
        write!(f, "00-{}-{}-{flags}", self.trace, self.span)
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut parts = text.trim().split('-');
        let mut part = || parts.next().ok_or(InvalidTraceParent);
        let [version] = unhex(part()?)?;
        let (trace, span): ([u8; 16], [u8; 8]) = (unhex(part()?)?, unhex(part()?)?);
        let [flags] = unhex(part()?)?;
        // Later versions may have more parts; of the first one, that is a mistake.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return Err(InvalidTraceParent);
        }
        if trace == [0; 16] || span == [0; 8] {
            return Err(InvalidTraceParent);
        }
        let sampled = if flags & 1 == 1 { Sampled::Yes } else { Sampled::No };
        Ok(Self { trace: TraceId(trace), span: SpanId(span), sampled })
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Attribute {
    fn from(number: f64) -> Self {
        Self::Decimal(number)
    }
}

/// Nanoseconds since 1970.
pub(crate) fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8], to: &mut impl Write) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(to, "{byte:02x}"))
}

/// Exactly so many bytes, as lower-case digits.
fn unhex<const N: usize>(text: &str) -> Result<[u8; N], InvalidTraceParent> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(InvalidTraceParent),
    };
    if text.len() != 2 * N {
        return Err(InvalidTraceParent);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        if let [high, low] = pair {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_as_it_is_written() {
        let parent: TraceParent = TEXT.parse().unwrap();
        assert_eq!((parent.to_string().as_str(), parent.sampled), (TEXT, Sampled::Yes));
        let of_later_version = TEXT.replacen("00", "01", 1) + "-more";
        assert!(of_later_version.parse::<TraceParent>().is_ok());
        let unsampled = TEXT.replace("-01", "-00");
        assert_eq!(unsampled.parse::<TraceParent>().unwrap().sampled, Sampled::No);
        let random =
            TraceParent { trace: TraceId::random(), span: SpanId::random(), sampled: Sampled::Yes };
        assert_eq!(random.to_string().parse(), Ok(random));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "00",
            &TEXT.to_uppercase(),
            &format!("{TEXT}-x"),
            &TEXT.replacen("00", "ff", 1),
            &TEXT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &TEXT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &TEXT.replace("00f067aa", "00f067é"),
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(InvalidTraceParent), "{text}");
        }
    }
}
