//! The program's own log: to the journal with native fields under systemd, else to standard error as
//! text for people or as JSON.
//!
//! Invariant: a line about a job has the job's ids as fields, whatever part of the program wrote it, and
//! says in words which job it is about. The ids come from the span of the job's task ([`job_span`]).

mod job_output;
mod journal;
mod layer;
mod level;
mod line;
mod text;

use std::io;

use tracing::Span;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

use self::layer::{LogLayer, Sink};
use crate::config::{LogConfig, LogFormat};
use crate::ledger::Record;

pub(crate) use self::job_output::{JobJournal, JobLines};
pub(crate) use self::level::LogHandle;

/// Names of the fields that say what a line is about. In the journal they are upper case, with an
/// underscore for each dot.
pub(crate) mod field {
    /// The job. Beside it stand `ticket.id` and `project.id`.
    pub(crate) const JOB: &str = "job.id";
    /// The engine's id of its container.
    pub(crate) const CONTAINER: &str = "container.id";
}

/// Libraries whose lines are of no use to operators, and many at `debug`. A directive of the operator
/// for one of them wins.
const QUIET: &str =
    "bollard=info,h2=info,hyper=info,hyper_util=info,mio=info,reqwest=info,rustls=info";

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("RUST_LOG or LOG_LEVEL is not a log filter")]
    Filter(#[from] ParseError),
    #[error("the journal cannot be reached; use LOG_FORMAT=pretty or json")]
    Journal(#[source] io::Error),
    #[error("the log filter cannot be changed")]
    Reload(#[from] reload::Error),
    #[error(transparent)]
    Init(#[from] TryInitError),
}

/// Sets up the log of this process.
pub(crate) fn init(config: &LogConfig) -> Result<LogHandle, LogError> {
    let sink = match config.format {
        LogFormat::Journald => Sink::journal().map_err(LogError::Journal)?,
        LogFormat::Json => Sink::Json,
        LogFormat::Pretty => Sink::pretty(),
    };
    let (filter, handle) = reload::Layer::new(filter(&config.filter)?);
    let layer = LogLayer::new(sink).with_filter(filter);
    tracing_subscriber::registry().with(layer).try_init()?;
    Ok(LogHandle::new(handle, &config.filter))
}

/// The span of a job's task: what is logged in it has the job's ids.
pub(crate) fn job_span(record: &Record) -> Span {
    let (ticket, project) = record.job.ticket.map(|at| (at.ticket_id, at.project_id)).unzip();
    // At the highest level, so that no filter for lines takes the ids away.
    tracing::error_span!(
        "job",
        job.id = %record.job.job_id,
        ticket.id = ticket.as_ref().map(tracing::field::display),
        project.id = project.as_ref().map(tracing::field::display),
        container.id = record.container.as_ref().map(tracing::field::display),
    )
}

/// From now on the lines of this task's job have the id of its container.
pub(crate) fn in_container(record: &Record) {
    if let Some(container) = &record.container {
        Span::current().record(field::CONTAINER, tracing::field::display(container));
    }
}

fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("{QUIET},{text}"))
}
