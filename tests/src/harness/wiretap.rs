//! Reading the requests that pass on a connection to the engine, without changing a byte.

use bytes::{Buf, BytesMut};

/// One request to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineRequest {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The body, as far as it has passed.
    pub body: Vec<u8>,
}

/// What the next bytes of a connection are.
#[derive(Debug, Default)]
enum Next {
    #[default]
    Head,
    Body(usize),
    /// No request any more: the connection was taken over, or is in a form that we do not read.
    Raw,
}

/// What was seen in a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A request began.
    Request(EngineRequest),
    /// More of the body of the request before.
    Body(Vec<u8>),
}

/// Reads one connection's requests.
#[derive(Debug, Default)]
pub(super) struct Wiretap {
    next: Next,
    held: BytesMut,
}

impl Wiretap {
    /// Whether all of the last request has been taken, as far as it can be told.
    pub(super) fn complete(&self) -> bool {
        match self.next {
            Next::Head => self.held.is_empty(),
            Next::Body(left) => left == 0,
            Next::Raw => true,
        }
    }

    /// Takes the next piece, and tells what is in it.
    pub(super) fn read(&mut self, piece: &[u8]) -> Vec<Seen> {
        let mut seen = Vec::new();
        if matches!(self.next, Next::Raw) {
            return seen;
        }
        self.held.extend_from_slice(piece);
        loop {
            match self.next {
                Next::Raw => return seen,
                Next::Body(0) => self.next = Next::Head,
                Next::Body(left) => {
                    let part = self.held.split_to(left.min(self.held.len()));
                    if part.is_empty() {
                        return seen;
                    }
                    self.next = Next::Body(left - part.len());
                    seen.push(Seen::Body(part.to_vec()));
                }
                Next::Head => {
                    let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n")
                    else {
                        return seen;
                    };
                    let head = String::from_utf8_lossy(&self.held[..end]).into_owned();
                    self.held.advance(end + 4);
                    seen.push(Seen::Request(request(&head)));
                    self.next = after(&head);
                }
            }
        }
    }
}

fn request(head: &str) -> EngineRequest {
    let mut words = head.split_whitespace().map(str::to_owned);
    EngineRequest {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        body: Vec::new(),
    }
}

fn after(head: &str) -> Next {
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    if header("upgrade").is_some() || header("transfer-encoding").is_some() {
        return Next::Raw;
    }
    Next::Body(header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] =
        b"POST /a?x=1 HTTP/1.1\r\ncontent-length: 4\r\n\r\nbodyGET /b HTTP/1.1\r\n\r\n";

    fn requests(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut tap = Wiretap::default();
        let mut requests: Vec<(String, String)> = Vec::new();
        for seen in pieces.iter().flat_map(|piece| tap.read(piece)) {
            match seen {
                Seen::Request(request) => requests.push((request.path, String::new())),
                Seen::Body(part) => {
                    requests.last_mut().unwrap().1.push_str(std::str::from_utf8(&part).unwrap());
                }
            }
        }
        requests
    }

    #[test]
    fn requests_are_told_apart_wherever_the_pieces_are_cut() {
        let expected = [("/a?x=1".to_owned(), "body".to_owned()), ("/b".to_owned(), String::new())];
        for at in 0..TWO.len() {
            assert_eq!(requests(&[&TWO[..at], &TWO[at..]]), expected, "cut at {at}");
        }
    }

    #[test]
    fn what_follows_an_upgrade_is_not_read() {
        let head = b"POST /attach HTTP/1.1\r\nUpgrade: tcp\r\n\r\n{}GET /no HTTP/1.1\r\n\r\n";
        assert_eq!(requests(&[head, TWO]).len(), 1);
    }
}
