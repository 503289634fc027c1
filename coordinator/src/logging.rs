//! The program's own log: to the journal with native fields under systemd, else to standard error.

use std::io::IsTerminal;

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::{LogConfig, LogFormat};

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("RUST_LOG or LOG_LEVEL is not a log filter")]
    Filter(#[from] ParseError),
    #[error("the journal cannot be reached; use LOG_FORMAT=pretty or json")]
    Journal(#[source] std::io::Error),
    #[error("the log filter cannot be changed")]
    Reload(#[from] reload::Error),
    #[error(transparent)]
    Init(#[from] TryInitError),
}

/// Changes what is logged while the process runs.
#[derive(Debug)]
pub(crate) struct LogHandle(Handle<EnvFilter, Registry>);

impl LogHandle {
    /// Logs by this filter from now on.
    pub(crate) fn set_filter(&self, filter: &str) -> Result<(), LogError> {
        Ok(self.0.reload(EnvFilter::try_new(filter)?)?)
    }
}

/// Sets up the log of this process.
pub(crate) fn init(config: &LogConfig) -> Result<LogHandle, LogError> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(&config.filter)?);
    let layer = layer(config.format)?;
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    Ok(LogHandle(handle))
}

fn layer(format: LogFormat) -> Result<Box<dyn Layer<Registry> + Send + Sync>, LogError> {
    let stderr = || fmt::layer().with_writer(std::io::stderr).with_target(false);
    Ok(match format {
        LogFormat::Journald => {
            Box::new(tracing_journald::layer().map_err(LogError::Journal)?.with_field_prefix(None))
        }
        LogFormat::Json => Box::new(stderr().json().flatten_event(true)),
        LogFormat::Pretty => {
            Box::new(stderr().compact().with_ansi(std::io::stderr().is_terminal()))
        }
    })
}
