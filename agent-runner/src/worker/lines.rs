//! Lines of a program that is not trusted to write sensible ones: of bounded length, of any bytes.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// What the CLI's output held besides good lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineCounts {
    /// Lines that were handed on.
    pub(crate) good: u64,
    /// Lines that were longer than allowed, and left out.
    pub(crate) too_long: u64,
    /// Lines with bytes that are not UTF-8, handed on with replacement characters.
    pub(crate) not_utf8: u64,
}

/// Reads lines of at most `max` bytes; memory does not grow beyond that.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    max: usize,
    line: Vec<u8>,
    skipping: bool,
    counts: LineCounts,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, max: usize) -> Self {
        Self { reader, max, line: Vec::new(), skipping: false, counts: LineCounts::default() }
    }

    pub(crate) fn counts(&self) -> LineCounts {
        self.counts
    }

    /// The next line, without its end; nothing at the end of the stream. Dropping the future loses
    /// nothing. The last line counts even without a line end.
    pub(crate) async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                return Ok((!self.line.is_empty() || self.skipping).then(|| self.take()).flatten());
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let piece = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
            let taken = piece.len() + usize::from(end.is_some());
            if self.skipping || self.line.len() + piece.len() > self.max {
                self.skipping = true;
                self.line.clear();
            } else {
                self.line.extend_from_slice(piece);
            }
            self.reader.consume(taken);
            if end.is_some()
                && let Some(line) = self.take()
            {
                return Ok(Some(line));
            }
        }
    }

    /// Ends the current line; nothing if it was too long.
    fn take(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.skipping) {
            self.counts.too_long += 1;
            return None;
        }
        self.counts.good += 1;
        Some(String::from_utf8(bytes).unwrap_or_else(|error| {
            self.counts.not_utf8 += 1;
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    async fn read(bytes: &[u8], capacity: usize, max: usize) -> (Vec<String>, LineCounts) {
        let mut lines = Lines::new(BufReader::with_capacity(capacity, bytes), max);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        (all, lines.counts())
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_counted_and_the_next_is_read() {
        let (lines, counts) = read(b"ok\n0123456789\nfine\n0123456789", 4, 5).await;
        assert_eq!(lines, ["ok", "fine"]);
        assert_eq!(counts, LineCounts { good: 2, too_long: 2, not_utf8: 0 });
    }

    #[tokio::test]
    async fn bytes_that_are_not_utf8_are_replaced_and_counted() {
        let (lines, counts) = read(b"a\xffb\nlast", 4096, 100).await;
        assert_eq!(lines, ["a\u{fffd}b", "last"]);
        assert_eq!(counts.not_utf8, 1);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_stream_is_cut(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            capacity in 1usize..20,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let whole = runtime.block_on(read(&bytes, 4096, 8));
            let cut = runtime.block_on(read(&bytes, capacity, 8));
            prop_assert_eq!(whole, cut);
        }
    }
}
