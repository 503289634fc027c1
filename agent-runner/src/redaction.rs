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
/// is never cut by two writes.
#[derive(Debug)]
pub(crate) struct RedactedStderr(Redaction);

impl Write for RedactedStderr {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        io::stderr().write_all(self.0.redact(&text).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_registered_later_is_hidden_in_every_copy() {
        let redaction = Redaction::default();
        let copy = redaction.clone();
        redaction.register([&Secret::from("first-secret-1")]);
        redaction.register([&Secret::from("second-secret-2")]);
        assert_eq!(copy.redact("first-secret-1 and second-secret-2"), "[redacted] and [redacted]");
    }
}
