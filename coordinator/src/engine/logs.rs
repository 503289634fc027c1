//! Following a container's output without a gap and without a repeat: the engine stamps each piece
//! with its time, and after a broken connection only later pieces are taken.

use bollard::query_parameters::LogsOptionsBuilder;
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::{ContainerName, Engine, EngineError};

/// Lengths of an RFC 3339 time, from whole seconds in UTC to nanoseconds with a zone.
const STAMP_MIN: usize = 20;
const STAMP_MAX: usize = 35;

/// Where in a container's output we are: the newest stamp that was seen, as the engine writes it.
///
/// Stamps repeat (all parts of a long line have one) and go back (the two streams are stamped before
/// they are written). So only the beginning of a second reading is compared with them; what comes
/// after the first new piece is taken as it comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogCursor {
    newest: String,
    catching_up: bool,
}

/// A piece of output, without its stamp.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame(pub(crate) Bytes);

impl LogCursor {
    /// The output is read again from its beginning.
    pub(crate) fn rewind(&mut self) {
        self.catching_up = !self.newest.is_empty();
    }

    /// Whether anything was read before.
    pub(crate) fn has_read(&self) -> bool {
        !self.newest.is_empty()
    }

    /// The piece of output, unless it was taken before.
    pub(crate) fn advance(&mut self, mut piece: Bytes) -> Option<Frame> {
        let Some(stamp) = stamp_of(&piece) else { return Some(Frame(piece)) };
        if self.catching_up && stamp <= self.newest.as_str() {
            return None;
        }
        self.catching_up = false;
        let length = stamp.len();
        if stamp > self.newest.as_str() {
            self.newest = stamp.to_owned();
        }
        piece.advance(length + 1);
        Some(Frame(piece))
    }
}

impl Engine {
    /// The output of a container from the beginning, until it ends; an error when the connection
    /// broke before. Pieces carry stamps: pass each through [`LogCursor::advance`].
    pub(crate) async fn follow_output(
        &self,
        name: &ContainerName,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        let name = name.to_string();
        let options =
            LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).timestamps(true);
        let logs = self.docker().await?.logs(&name, Some(options.build()));
        let pieces = logs.map(move |output| match output {
            Ok(output) => Ok(output.into_bytes()),
            Err(error) => Err(EngineError::new("read the output of container", &name, error)),
        });
        Ok(pieces.boxed())
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

    fn piece(nanos: u32, text: &str) -> Bytes {
        Bytes::from(format!("2026-11-21T01:02:03.{nanos:09}Z {text}"))
    }

    fn take(cursor: &mut LogCursor, pieces: &[Bytes]) -> Vec<Frame> {
        pieces.iter().filter_map(|piece| cursor.advance(piece.clone())).collect()
    }

    #[test]
    fn a_second_reading_gives_nothing_twice_and_leaves_nothing_out() {
        let mut cursor = LogCursor::default();
        take(&mut cursor, &[piece(1, "a\n"), piece(2, "b\n")]);
        cursor.rewind();
        let again = [piece(1, "a\n"), piece(2, "b\n"), piece(3, "c\n")];
        assert_eq!(take(&mut cursor, &again), [Frame("c\n".into())]);
    }

    #[test]
    fn parts_of_one_line_and_stamps_that_go_back_are_all_taken() {
        let mut cursor = LogCursor::default();
        let pieces = [piece(5, "part 1"), piece(5, "part 2\n"), piece(4, "other stream\n")];
        assert_eq!(take(&mut cursor, &pieces).len(), 3);
    }

    #[test]
    fn stamps_of_other_engines_are_taken_off_as_well() {
        for stamp in ["2026-11-21T01:02:03Z", "2026-11-21T01:02:03.123456789+01:00"] {
            let piece = Bytes::from(format!("{stamp} text"));
            assert_eq!(LogCursor::default().advance(piece), Some(Frame("text".into())));
        }
    }

    #[test]
    fn output_without_a_stamp_is_kept() {
        for text in ["no stamp", "", "agent-runner: started version=1"] {
            assert_eq!(LogCursor::default().advance(text.into()), Some(Frame(text.into())));
        }
    }
}
