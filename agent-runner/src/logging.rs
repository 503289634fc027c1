//! The runner's own log: lines on standard error, every one of them redacted.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::redaction::Redaction;

/// Starts the log. `filter` is the text of `RUST_LOG` or `LOG_LEVEL`; what cannot be read in it is
/// said and left out.
pub(crate) fn init(filter: Option<&str>, redaction: &Redaction) {
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let (filter, problem) = match builder.parse(filter.unwrap_or_default()) {
        Ok(filter) => (filter, None),
        Err(error) => (builder.parse_lossy(""), Some(error)),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(redaction.clone())
        .finish();
    // An error says that a subscriber is installed already, which happens in tests alone.
    let _already_installed = tracing::subscriber::set_global_default(subscriber);
    if let Some(error) = problem {
        tracing::warn!(%error, "RUST_LOG or LOG_LEVEL cannot be read; logging at info");
    }
}
