//! The forge's token, as it is now: one that ends in an hour is replaced while the job runs.
//!
//! Invariant: a token is known to the redaction before anyone can get it from here.

use api_client::Secret;
use tokio::sync::watch;

use crate::redaction::Redaction;

/// Where the token is taken from, anew for every call to the forge.
#[derive(Clone, Debug)]
pub(crate) struct TokenSource(watch::Receiver<Secret>);

/// Replaces the token.
#[derive(Debug)]
pub(crate) struct TokenSink {
    sender: watch::Sender<Secret>,
    redaction: Redaction,
}

impl TokenSource {
    /// A token that stays, unless the sink gets another one.
    pub(crate) fn new(token: Secret, redaction: Redaction) -> (Self, TokenSink) {
        redaction.register([&token]);
        let (sender, receiver) = watch::channel(token);
        (Self(receiver), TokenSink { sender, redaction })
    }

    /// The token as it is now.
    pub(crate) fn current(&self) -> Secret {
        self.0.borrow().clone()
    }

    #[cfg(test)]
    pub(crate) fn fixed(token: &str) -> Self {
        Self::new(token.into(), Redaction::default()).0
    }
}

impl TokenSink {
    /// From now on this is the token.
    pub(crate) fn replace(&self, token: Secret) {
        self.redaction.register([&token]);
        self.sender.send_replace(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_copy_gives_the_newest_token_and_both_are_hidden() {
        let redaction = Redaction::default();
        let (source, sink) = TokenSource::new("first-token".into(), redaction.clone());
        let copy = source.clone();
        sink.replace("second-token".into());
        assert_eq!(copy.current().expose(), "second-token");
        assert_eq!(redaction.redact("first-token second-token"), "[redacted] [redacted]");
        drop(sink);
        assert_eq!(source.current().expose(), "second-token");
    }
}
