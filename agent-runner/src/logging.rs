//! The runner's own log: lines on standard error, every one of them redacted.

use std::io::{self, IsTerminal};

use tracing::Span;
use tracing::subscriber::set_global_default;
use tracing_subscriber::EnvFilter;

use crate::redaction::Redaction;

const DEFAULT_FILTER: &str = "info";

/// The target of lines that say that the run goes on. They are shown whatever the filter is, unless it
/// is about them: a coordinator ends a runner that prints nothing for long.
pub(crate) const PROGRESS: &str = "progress";

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogForm {
    /// Text for people.
    Pretty,
    /// One JSON object a line; the ids of the job are in its `span`.
    Json,
}

/// Starts the log in its usual form. `filter` is the text of `RUST_LOG` or `LOG_LEVEL`; what cannot be read in it is
/// said and left out.
pub(crate) fn init(filter: Option<&str>, redaction: &Redaction) {
    init_as(LogForm::Pretty, filter, redaction);
}

/// The same in this form.
pub(crate) fn init_as(form: LogForm, filter: Option<&str>, redaction: &Redaction) {
    let (filter, problem) = match with_progress(filter.unwrap_or(DEFAULT_FILTER)).parse() {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(with_progress(DEFAULT_FILTER)), Some(error)),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(redaction.clone());
    // An error says that a subscriber is installed already, which happens in tests alone.
    let _already_installed = match form {
        LogForm::Pretty => set_global_default(subscriber.finish()),
        LogForm::Json => {
            set_global_default(subscriber.json().flatten_event(true).with_span_list(false).finish())
        }
    };
    if let Some(error) = problem {
        tracing::warn!(%error, "RUST_LOG or LOG_LEVEL cannot be read; logging at info");
    }
}

/// The span of the whole run: in JSON, every line of it has the job's ids. Text of one job needs none.
pub(crate) fn run_span(form: LogForm, [job, ticket, project]: [Option<String>; 3]) -> Span {
    match form {
        LogForm::Pretty => Span::none(),
        LogForm::Json => {
            tracing::error_span!("run", job.id = job, ticket.id = ticket, project.id = project)
        }
    }
}

/// The filter with the lines of progress; a directive of its own for them comes later and wins.
fn with_progress(filter: &str) -> String {
    format!("{PROGRESS}=info,{filter}")
}
