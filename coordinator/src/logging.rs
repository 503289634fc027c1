//! The program's own log: to the journal with native fields under systemd, else to standard error as
//! text for people or as JSON.
//!
//! Invariants: a line about a job has the job's ids as fields, whatever part of the program wrote it, and
//! says in words which job it is about; the ids come from the span of the job's task ([`job_span`]). Nobody
//! waits for the log: lines go to a queue with an end, and one thread writes them.

mod job_output;
mod journal;
mod layer;
mod level;
mod line;
mod queue;
mod text;
mod writer;

use std::io;
use std::sync::Arc;

use tracing::Span;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

use self::layer::LogLayer;
use self::level::LogHandle;
use self::queue::Queue;
use self::writer::Sink;
use crate::config::{LogConfig, LogFormat};
use crate::ledger::Record;

pub(crate) use self::job_output::JobLines;
pub(crate) use self::writer::LogWriter;

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
///
/// The last one is the span of a job, which is there whatever lines are wanted: it has the ids.
const QUIET: &str = "bollard=info,h2=info,hyper=info,hyper_util=info,mio=info,reqwest=info,rustls=info,\
                     terarchitect_job=error";

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("RUST_LOG or LOG_LEVEL is not a log filter")]
    Filter(#[from] ParseError),
    #[error("the journal cannot be reached; use LOG_FORMAT=pretty or json")]
    Journal(#[source] io::Error),
    #[error("the log cannot be written")]
    Writer(#[source] io::Error),
    #[error("the log filter cannot be changed")]
    Reload(#[from] reload::Error),
    #[error(transparent)]
    Init(#[from] TryInitError),
}

/// The log of this process, as its parts have to do with it.
#[derive(Debug)]
pub(crate) struct Log {
    /// Changes what is logged.
    pub(crate) levels: LogHandle,
    queue: Arc<Queue>,
}

impl Log {
    /// The way of a job's output to the journal.
    pub(crate) fn lines_of(&self, record: &Record) -> JobLines {
        JobLines::of(record, Arc::clone(&self.queue))
    }

    /// How many lines of its own were left out since the start.
    pub(crate) fn left_out(&self) -> u64 {
        self.queue.own_left_out()
    }

    /// How many lines of jobs are not in the journal.
    pub(crate) fn left_out_of_jobs(&self) -> u64 {
        self.queue.jobs_left_out()
    }
}

/// Sets up the log of this process. What is logged is written while the writer lives, and when it is
/// dropped.
pub(crate) fn init(config: &LogConfig) -> Result<(Log, LogWriter), LogError> {
    let sink = Sink::new(config.format).map_err(|error| match config.format {
        LogFormat::Journald => LogError::Journal(error),
        LogFormat::Json | LogFormat::Pretty => LogError::Writer(error),
    })?;
    let queue = Arc::new(Queue::new());
    let (filter, handle) = reload::Layer::new(filter(&config.filter)?);
    let layer = LogLayer::new(Arc::clone(&queue)).with_filter(filter);
    tracing_subscriber::registry().with(layer).try_init()?;
    let writer = LogWriter::start(Arc::clone(&queue), sink).map_err(LogError::Writer)?;
    Ok((Log { levels: LogHandle::new(handle, &config.filter), queue }, writer))
}

/// The span of a job's task: what is logged in it has the job's ids.
pub(crate) fn job_span(record: &Record) -> Span {
    let (ticket, project) = record.job.ticket.map(|at| (at.ticket_id, at.project_id)).unzip();
    // At the highest level and with a target of its own, so that no filter for lines takes the ids away.
    tracing::error_span!(
        target: "terarchitect_job",
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api_client::JobId;

    use super::queue::Item;
    use super::*;
    use crate::ledger::JobRef;

    /// What is logged of a job under a filter.
    fn logged(by: &str) -> Vec<line::Line> {
        let queue = Arc::new(Queue::new());
        let layer = LogLayer::new(Arc::clone(&queue)).with_filter(filter(by).unwrap());
        let record = Record::claimed(JobRef::unreadable(JobId::random()), None, 0);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            job_span(&record).in_scope(|| {
                tracing::info!("a line");
                tracing::debug!(target: "coordinator::report", "another");
            });
        });
        queue.close(Duration::ZERO);
        let next = || match queue.next()? {
            Item::Own(line) => Some(line),
            Item::Job(entry) => panic!("{entry:?}"),
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_line_has_the_ids_of_its_job_whatever_else_is_logged() {
        for (by, count) in [("info", 1), ("off,coordinator::report=debug", 1), ("debug", 2)] {
            let lines = logged(by);
            assert_eq!(lines.len(), count, "{by}");
            for line in lines {
                assert!(line.fields.get(field::JOB).is_some(), "{by}: {line:?}");
            }
        }
        assert!(logged("off").is_empty());
    }
}
