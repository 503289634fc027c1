//! Following a container's output without a gap and without a repeat: the engine stamps each piece
//! with its time, and after a broken connection only later pieces are taken.

use bollard::query_parameters::LogsOptionsBuilder;
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::{ContainerName, Engine, EngineError};

/// Where in a container's output we are: the stamp of the last piece that was taken
/// (RFC 3339 in UTC with nine fraction digits, so that text order is time order).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogCursor(String);

/// A piece of output, without its stamp.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame(pub(crate) Bytes);

impl LogCursor {
    /// The piece of output, if it comes after everything that was taken so far.
    pub(crate) fn advance(&mut self, mut piece: Bytes) -> Option<Frame> {
        let Some(space) = piece.iter().position(|byte| *byte == b' ') else {
            return Some(Frame(piece));
        };
        let stamp = String::from_utf8_lossy(&piece[..space]).into_owned();
        if !is_stamp(&stamp) {
            return Some(Frame(piece));
        }
        if stamp <= self.0 {
            return None;
        }
        self.0 = stamp;
        piece.advance(space + 1);
        Some(Frame(piece))
    }
}

impl Engine {
    /// The output of a container from the beginning, until it ends; an error when the connection
    /// broke before. Pieces carry stamps: pass each through [`LogCursor::advance`].
    pub(crate) async fn follow_output(
        &self,
        name: &ContainerName,
    ) -> Result<BoxStream<'_, Result<Bytes, EngineError>>, EngineError> {
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

fn is_stamp(text: &str) -> bool {
    text.len() == 30 && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(nanos: u32, text: &str) -> Bytes {
        Bytes::from(format!("2026-11-21T01:02:03.{nanos:09}Z {text}"))
    }

    #[test]
    fn a_second_reading_of_the_same_output_gives_nothing_twice() {
        let mut cursor = LogCursor::default();
        let first = [piece(1, "a\n"), piece(2, "b\n")];
        let taken: Vec<_> = first.into_iter().filter_map(|p| cursor.advance(p)).collect();
        assert_eq!(taken, [Frame("a\n".into()), Frame("b\n".into())]);
        let again = [piece(1, "a\n"), piece(2, "b\n"), piece(3, "c\n")];
        let taken: Vec<_> = again.into_iter().filter_map(|p| cursor.advance(p)).collect();
        assert_eq!(taken, [Frame("c\n".into())]);
    }

    #[test]
    fn output_without_a_stamp_is_kept() {
        let mut cursor = LogCursor::default();
        assert_eq!(cursor.advance("no stamp".into()), Some(Frame("no stamp".into())));
        assert_eq!(cursor.advance("".into()), Some(Frame("".into())));
    }
}
