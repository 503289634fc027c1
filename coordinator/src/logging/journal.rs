//! The journal's native protocol: one datagram for each line, a name and a value for each field.
//!
//! Invariant: a line is no larger than a datagram may be on any system.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::Level;

use super::line::{Line, plain};

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// What the lines of this program are filed under.
const IDENTIFIER: &str = "terarchitect-coordinator";

/// Most of a message and of another value, in bytes; the system's limit of a datagram is about 200 KiB.
const MESSAGE_MAX: usize = 48 << 10;
const VALUE_MAX: usize = 4 << 10;

/// Longest name of a field, in bytes (the journal's own limit).
const NAME_MAX: usize = 64;

/// A way to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// The journal of this machine, whether it is there or not.
    pub(super) fn of_this_machine() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    pub(super) fn at(path: &Path) -> io::Result<Self> {
        // Sent by address each time: a journal that was restarted is a new one at the same place.
        Ok(Self { socket: UnixDatagram::unbound()?, path: path.to_owned() })
    }

    /// # Errors
    /// When none listens.
    pub(super) fn is_there(&self) -> io::Result<()> {
        UnixDatagram::unbound()?.connect(&self.path)
    }

    /// Writes a line, once the journal takes it.
    ///
    /// # Errors
    /// When the journal is gone.
    pub(super) fn write(&self, line: &Line) -> io::Result<()> {
        let mut entry = Entry::new(&line.message, priority(line.level), IDENTIFIER);
        entry.put("TARGET", line.target);
        for (name, value) in line.fields.iter() {
            entry.put(name, &plain(value));
        }
        self.send(&entry.0)
    }

    /// Sends an entry, once the journal takes it. This blocks: the kernel wakes a sender that waits in the
    /// call itself, and not one that polls a socket without a peer.
    ///
    /// # Errors
    /// When the journal is gone.
    pub(super) fn send(&self, entry: &[u8]) -> io::Result<()> {
        self.socket.send_to(entry, &self.path).map(drop)
    }
}

/// A line in the journal's form.
#[derive(Debug)]
pub(super) struct Entry(Vec<u8>);

impl Entry {
    pub(super) fn new(message: &str, priority: u8, identifier: &str) -> Self {
        let mut entry = Self(Vec::new());
        entry.put_up_to(MESSAGE_MAX, "MESSAGE", message);
        entry.put("PRIORITY", &priority.to_string());
        entry.put("SYSLOG_IDENTIFIER", identifier);
        entry
    }

    pub(super) fn put(&mut self, name: &str, value: &str) {
        self.put_up_to(VALUE_MAX, name, value);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The form that allows every value: name, newline, length, value, newline.
    fn put_up_to(&mut self, max: usize, name: &str, value: &str) {
        let value = up_to(max, value);
        self.0.extend(journal_name(name));
        self.0.push(b'\n');
        self.0.extend((value.len() as u64).to_le_bytes());
        self.0.extend(value.as_bytes());
        self.0.push(b'\n');
    }
}

/// The longest beginning of a text that has at most so many bytes.
pub(super) fn up_to(max: usize, text: &str) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// A field's name as the journal takes it: `JOB_ID` of `job.id`. A leading underscore is the journal's own.
fn journal_name(name: &str) -> impl Iterator<Item = u8> {
    let allowed =
        |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_uppercase() } else { b'_' };
    let leading = |byte: &u8| *byte == b'_' || byte.is_ascii_digit();
    name.bytes().map(allowed).skip_while(leading).take(NAME_MAX)
}

/// The level in the numbers of syslog.
pub(super) const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::super::line::tests::line;
    use super::*;

    /// The fields of a datagram, each of which must be there once.
    pub(in crate::logging) fn parsed(mut bytes: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        while !bytes.is_empty() {
            let name = bytes.iter().position(|byte| *byte == b'\n').unwrap();
            let (name, rest) = bytes.split_at(name);
            let (length, rest) = rest[1..].split_at(8);
            let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            assert_eq!(rest[length], b'\n');
            assert_eq!(fields.insert(text(name), text(&rest[..length])), None);
            bytes = &rest[length + 1..];
        }
        fields
    }

    #[test]
    fn a_line_of_a_job_has_its_ids_by_the_promised_names_and_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let reader = UnixDatagram::bind(&path).unwrap();
        let ids = ["job.id", "ticket.id", "project.id", "container.id"];
        let span = ids.map(|name| (name, json!(format!("of {name}"))));
        let own =
            [("message", json!("two\nlines")), ("job.id", json!("of job.id")), ("code", json!(7))];
        Journal::at(&path).unwrap().write(&line(&own, &span)).unwrap();
        let mut datagram = vec![0; 64 << 10];
        let length = reader.recv(&mut datagram).unwrap();
        let fields = parsed(&datagram[..length]);
        let expected = [
            ("CODE", "7"),
            ("CONTAINER_ID", "of container.id"),
            ("JOB_ID", "of job.id"),
            ("MESSAGE", "job of job.id: two\nlines code=7"),
            ("PRIORITY", "6"),
            ("PROJECT_ID", "of project.id"),
            ("SYSLOG_IDENTIFIER", "terarchitect-coordinator"),
            ("TARGET", "coordinator::work"),
            ("TICKET_ID", "of ticket.id"),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name.into(), value.into())).into());
    }

    #[test]
    fn a_large_line_is_cut_and_fits_in_a_datagram() {
        let entry = Entry::new(&"é".repeat(100_000), 6, "x");
        let fields = parsed(&entry.0);
        assert_eq!(fields["MESSAGE"].len(), MESSAGE_MAX);
    }

    #[test]
    fn names_are_what_the_journal_takes() {
        let name = |text| String::from_utf8(journal_name(text).collect()).unwrap();
        assert_eq!(name("container.name"), "CONTAINER_NAME");
        assert_eq!(name("_1x-y"), "X_Y");
    }
}
