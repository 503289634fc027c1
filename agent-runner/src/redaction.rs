//! One redactor for everything that leaves the process: its log, the ticket's log, the prompt.
//!
//! Secrets become known in stages (start, worker context), so they are registered as they come; from
//! then on no sink shows them.

use std::io::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};

use api_client::{Redactor, Secret};
use tracing_subscriber::fmt::MakeWriter;

/// The secrets known so far, shared by all sinks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    secrets: Vec<Secret>,
    redactor: Redactor,
}

impl Redaction {
    /// From now on these values are hidden as well.
    pub(crate) fn register<'s>(&self, secrets: impl IntoIterator<Item = &'s Secret>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.secrets.extend(secrets.into_iter().cloned());
        known.redactor = Redactor::new(&known.secrets);
    }

    /// A redactor of what is known by now.
    pub(crate) fn redactor(&self) -> Redactor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).redactor.clone()
    }

    /// A redactor of the values as wholes, for what must not be published.
    pub(crate) fn whole_values(&self) -> Redactor {
        Redactor::of_whole(&self.0.read().unwrap_or_else(PoisonError::into_inner).secrets)
    }

    /// `text` without any known secret.
    pub(crate) fn redact(&self, text: &str) -> String {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.redactor.redact(text).into_owned()
    }
}

impl<'w> MakeWriter<'w> for Redaction {
    type Writer = RedactedStderr;

    fn make_writer(&'w self) -> Self::Writer {
        RedactedStderr(self.clone())
    }
}

/// Standard error behind the redactor. The subscriber writes one whole event at a time, so a secret
/// is never cut by two writes. What an event says may be a worker's words: lines within it are indented,
/// so that none of them passes for an event of its own.
#[derive(Debug)]
pub(crate) struct RedactedStderr(Redaction);

impl Write for RedactedStderr {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        io::stderr().write_all(indented(&self.0.redact(&text)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// An event with every line but its first indented.
fn indented(event: &str) -> String {
    let (text, end) = match event.strip_suffix('\n') {
        Some(text) => (text, "\n"),
        None => (event, ""),
    };
    text.replace("\r\n", "\n").replace(['\n', '\r'], "\n    ") + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_within_an_event_passes_for_an_event() {
        let event = "TIME INFO all well\nTIME ERROR not at all\r\nTIME\rTIME\n";
        let expected = "TIME INFO all well\n    TIME ERROR not at all\n    TIME\n    TIME\n";
        assert_eq!(indented(event), expected);
        assert_eq!(indented("one\n"), "one\n");
    }

    #[test]
    fn a_secret_registered_later_is_hidden_in_every_copy() {
        let redaction = Redaction::default();
        let copy = redaction.clone();
        redaction.register([&Secret::from("first-secret-1")]);
        redaction.register([&Secret::from("second-secret-2")]);
        assert_eq!(copy.redact("first-secret-1 and second-secret-2"), "[redacted] and [redacted]");
    }
}
