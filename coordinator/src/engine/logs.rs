//! Reading a container's output without a gap and without a repeat, however often it is read: the
//! engine stamps each piece with its time, and what was taken before is told by the stamps.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::{ContainerRef, Engine, EngineError};

/// Lengths of an RFC 3339 time, from whole seconds in UTC to nanoseconds with a zone.
const STAMP_MIN: usize = 20;
const STAMP_MAX: usize = 35;

/// Where in a container's output we are.
///
/// The two streams are written independently, so that only within one of them the stamps rise; and
/// all parts of a long line have one stamp, so that parts are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogCursor {
    out: Position,
    err: Position,
}

/// How far one stream was taken, and how much of that a new reading has repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Position {
    /// The stamp of the last piece that was taken, as the engine writes it.
    stamp: String,
    /// How many pieces with that stamp were taken.
    count: usize,
    /// How many of those are still to be repeated by this reading.
    known: usize,
    catching_up: bool,
}

/// A piece of output as the engine gives it, with its stamp.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    stream: Stream,
    bytes: Bytes,
}

#[derive(Clone, Copy, Debug)]
enum Stream {
    Out,
    Err,
}

/// A piece of output, without its stamp.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame(pub(crate) Bytes);

impl LogCursor {
    /// The output is read again from its beginning.
    pub(crate) fn rewind(&mut self) {
        self.out.rewind();
        self.err.rewind();
    }

    /// Whether anything was read before.
    pub(crate) fn has_read(&self) -> bool {
        self.out.count > 0 || self.err.count > 0
    }

    /// The piece of output, unless it was taken before.
    pub(crate) fn advance(&mut self, piece: Piece) -> Option<Frame> {
        let Piece { stream, mut bytes } = piece;
        let Some(stamp) = stamp_of(&bytes) else { return Some(Frame(bytes)) };
        let position = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        if position.repeats(stamp) {
            return None;
        }
        position.take(stamp);
        let length = stamp.len();
        bytes.advance(length + 1);
        Some(Frame(bytes))
    }
}

impl Position {
    fn rewind(&mut self) {
        self.catching_up = self.count > 0;
        self.known = self.count;
    }

    /// Whether a piece was taken before. After the first that was not, none was: a clock that is
    /// set back costs nothing unless it happens between two readings.
    fn repeats(&mut self, stamp: &str) -> bool {
        if !self.catching_up {
            return false;
        }
        let repeats = stamp < self.stamp.as_str() || (stamp == self.stamp && self.known > 0);
        if stamp == self.stamp {
            self.known = self.known.saturating_sub(1);
        }
        self.catching_up = repeats;
        repeats
    }

    fn take(&mut self, stamp: &str) {
        if self.stamp == stamp {
            self.count += 1;
        } else {
            stamp.clone_into(&mut self.stamp);
            self.count = 1;
        }
    }
}

/// How far output is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// As long as the container runs. An engine may stop short of the last words of a container that
    /// is just ending (Docker 20.10 does, Podman 4.3 by thousands of lines).
    TheEnd,
    /// What is there: of a container that has ended this is everything.
    Now,
}

impl Engine {
    /// The output of a container from the beginning; an error when the connection broke before. What
    /// matters is read once more when the container has ended. Pass each piece through
    /// [`LogCursor::advance`].
    pub(crate) async fn output(
        &self,
        name: &ContainerRef,
        until: Until,
    ) -> Result<BoxStream<'static, Result<Piece, EngineError>>, EngineError> {
        let name = name.to_string();
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true);
        let options = options.follow(until == Until::TheEnd);
        let logs = self.docker().await?.logs(&name, Some(options.build()));
        let pieces = logs.map(move |output| match output {
            Ok(output) => Ok(Piece::from(output)),
            Err(error) => Err(EngineError::new("read the output of container", &name, error)),
        });
        Ok(pieces.boxed())
    }
}

impl From<LogOutput> for Piece {
    fn from(output: LogOutput) -> Self {
        let stream = match output {
            LogOutput::StdErr { .. } => Stream::Err,
            LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => {
                Stream::Out
            }
        };
        Self { stream, bytes: output.into_bytes() }
    }
}

/// The RFC 3339 time before the first space. Engines differ in its precision and zone.
fn stamp_of(piece: &[u8]) -> Option<&str> {
    let end = piece.iter().take(STAMP_MAX + 1).position(|byte| *byte == b' ')?;
    let text = std::str::from_utf8(&piece[..end]).ok()?;
    let bytes = text.as_bytes();
    let date =
        bytes.len() >= STAMP_MIN && bytes[4] == b'-' && bytes[7] == b'-' && bytes[10] == b'T';
    let digits = bytes.iter().take(4).all(u8::is_ascii_digit);
    (date && digits).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(stream: Stream, nanos: u32, text: &str) -> Piece {
        let bytes = Bytes::from(format!("2026-11-21T01:02:03.{nanos:09}Z {text}"));
        Piece { stream, bytes }
    }

    fn out(nanos: u32, text: &str) -> Piece {
        piece(Stream::Out, nanos, text)
    }

    fn take(cursor: &mut LogCursor, pieces: &[Piece]) -> Vec<Frame> {
        pieces.iter().filter_map(|piece| cursor.advance(piece.clone())).collect()
    }

    /// A long line on one stream, between the parts of which the other stream speaks.
    fn output() -> Vec<Piece> {
        vec![
            out(1, "a\n"),
            out(5, "part 1, "),
            piece(Stream::Err, 4, "e\n"),
            out(5, "part 2, "),
            piece(Stream::Err, 6, "f\n"),
            out(5, "part 3\n"),
            piece(Stream::Err, 6, "g\n"),
        ]
    }

    #[test]
    fn wherever_the_first_reading_ends_the_second_gives_exactly_the_rest() {
        let whole = take(&mut LogCursor::default(), &output());
        assert_eq!(whole.len(), output().len());
        for end in 0..=output().len() {
            let mut cursor = LogCursor::default();
            let mut taken = take(&mut cursor, &output()[..end]);
            for _ in 0..2 {
                cursor.rewind();
                taken.extend(take(&mut cursor, &output()));
            }
            assert_eq!(taken, whole, "read again after {end} pieces");
        }
    }

    #[test]
    fn in_one_reading_a_clock_that_is_set_back_costs_nothing() {
        let pieces = [out(5, "before\n"), out(4, "after\n")];
        assert_eq!(take(&mut LogCursor::default(), &pieces).len(), 2);
    }

    #[test]
    fn stamps_of_other_engines_are_taken_off_as_well() {
        for stamp in ["2026-11-21T01:02:03Z", "2026-11-21T01:02:03.123456789+01:00"] {
            let piece = Piece { stream: Stream::Out, bytes: format!("{stamp} text").into() };
            assert_eq!(LogCursor::default().advance(piece), Some(Frame("text".into())));
        }
    }

    #[test]
    fn output_without_a_stamp_is_kept() {
        for text in ["no stamp", "", "agent-runner: started version=1"] {
            let piece = Piece { stream: Stream::Out, bytes: text.into() };
            assert_eq!(LogCursor::default().advance(piece), Some(Frame(text.into())));
        }
    }
}
