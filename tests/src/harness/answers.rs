//! Reading the answers that pass on a connection, without changing a byte.

use bytes::{Buf, BytesMut};

/// What was seen in a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The head of an answer, with its status.
    Head(u16),
    /// The end of that answer's body.
    End,
}

/// What the next bytes of a connection are.
#[derive(Clone, Copy, Debug, Default)]
enum Next {
    #[default]
    Head,
    Body(usize),
    /// The line with the size of a chunk.
    Size,
    /// The rest of a chunk and the line end after it.
    Chunk(usize),
    /// What follows the last chunk, up to an empty line.
    Trailer,
    /// It ends with the connection.
    Raw,
}

/// Reads one connection's answers.
#[derive(Debug, Default)]
pub(super) struct Answers {
    next: Next,
    held: BytesMut,
}

impl Answers {
    /// Takes the next piece, and tells what is in it.
    pub(super) fn read(&mut self, piece: &[u8]) -> Vec<Said> {
        let mut said = Vec::new();
        if matches!(self.next, Next::Raw) {
            return said;
        }
        self.held.extend_from_slice(piece);
        while let Some(next) = self.step(&mut said) {
            self.next = next;
        }
        said
    }

    /// Takes one part of what is held; nothing when more must come first.
    fn step(&mut self, said: &mut Vec<Said>) -> Option<Next> {
        match self.next {
            Next::Raw => None,
            Next::Head => {
                let head = self.up_to(b"\r\n\r\n")?;
                let status = head.split_whitespace().nth(1)?.parse().ok()?;
                said.push(Said::Head(status));
                let next = after(&head, status);
                if matches!(next, Next::Head) {
                    said.push(Said::End);
                }
                Some(next)
            }
            Next::Body(left) => Some(match self.skip(left)? {
                0 => ended(said),
                left => Next::Body(left),
            }),
            Next::Size => {
                let line = self.up_to(b"\r\n")?;
                let digits = line.split(';').next()?.trim();
                match usize::from_str_radix(digits, 16) {
                    Ok(0) => Some(Next::Trailer),
                    Ok(size) => Some(Next::Chunk(size + 2)),
                    Err(_) => Some(Next::Raw),
                }
            }
            Next::Chunk(left) => Some(match self.skip(left)? {
                0 => Next::Size,
                left => Next::Chunk(left),
            }),
            Next::Trailer => {
                Some(if self.up_to(b"\r\n")?.is_empty() { ended(said) } else { Next::Trailer })
            }
        }
    }

    fn up_to(&mut self, end: &[u8]) -> Option<String> {
        let at = self.held.windows(end.len()).position(|window| window == end)?;
        let text = String::from_utf8_lossy(&self.held[..at]).into_owned();
        self.held.advance(at + end.len());
        Some(text)
    }

    /// Drops up to this much; tells how much is left to drop. Nothing when there is nothing.
    fn skip(&mut self, left: usize) -> Option<usize> {
        let part = left.min(self.held.len());
        self.held.advance(part);
        (part > 0).then_some(left - part)
    }
}

fn ended(said: &mut Vec<Said>) -> Next {
    said.push(Said::End);
    Next::Head
}

/// What follows the head; another head where there is no body.
fn after(head: &str, status: u16) -> Next {
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_ascii_lowercase())
        })
    };
    if status == 101 {
        return Next::Raw;
    }
    if header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        return Next::Size;
    }
    match header("content-length").and_then(|length| length.parse().ok()) {
        Some(0) => Next::Head,
        Some(length) => Next::Body(length),
        None if matches!(status, 204 | 304) => Next::Head,
        None => Next::Raw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody\
        HTTP/1.1 204 No Content\r\n\r\n\
        HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab\r\n\r\n1\r\nx\r\n0\r\n\r\n";

    #[test]
    fn answers_are_told_apart_wherever_the_pieces_are_cut() {
        let expected = [200, 204, 201].map(|status| [Said::Head(status), Said::End]).concat();
        for at in 0..THREE.len() {
            let mut answers = Answers::default();
            let mut said = answers.read(&THREE[..at]);
            said.extend(answers.read(&THREE[at..]));
            assert_eq!(said, expected, "cut at {at}");
        }
    }

    #[test]
    fn a_stream_has_not_ended_before_its_last_chunk() {
        let mut answers = Answers::default();
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nlines\r\n";
        assert_eq!(answers.read(head), [Said::Head(200)]);
        assert_eq!(answers.read(b"0\r\n\r\n"), [Said::End]);
    }

    #[test]
    fn what_follows_an_upgrade_is_not_read() {
        let mut answers = Answers::default();
        let head = b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nHTTP/1.1 200 no\r\n\r\n";
        assert_eq!(answers.read(head), [Said::Head(101)]);
    }
}
