//! The log of the coordinator, and where the output of its jobs goes beside their log files.

use super::environment::Environment;
use super::parse::{self, Allowed};
use super::read::Reader;
use super::setting::service;

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// A filter that `tracing_subscriber::EnvFilter` takes.
    pub(crate) filter: String,
    /// Its form.
    pub(crate) format: LogFormat,
    /// Where else the output of jobs goes.
    pub(crate) job_output: JobOutput,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text for people.
    Pretty,
    /// One JSON object a line.
    Json,
    /// The journal's own protocol.
    Journald,
}

/// Where the output of a job's container goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobOutput {
    /// Into the job's log file.
    File,
    /// To the journal too.
    Journal,
}

pub(super) fn read_log(reader: &mut Reader<'_>, environment: &Environment) -> Option<LogConfig> {
    // The service manager sets it where standard error goes to the journal.
    let automatic = match environment.get("JOURNAL_STREAM") {
        Some(_) => LogFormat::Journald,
        None => LogFormat::Pretty,
    };
    let filter = reader.value(&service::LOG_LEVEL, parse::log_filter);
    let format = reader.value(&service::LOG_FORMAT, |text| parse::log_format(text, automatic));
    let job_output = reader.value(&service::LOG_JOB_OUTPUT, job_output);
    Some(LogConfig { filter: filter?, format: format?, job_output: job_output? })
}

fn job_output(text: &str) -> Result<JobOutput, Allowed> {
    match text {
        "file" => Ok(JobOutput::File),
        "journal" => Ok(JobOutput::Journal),
        _ => Err("file or journal".to_owned()),
    }
}
