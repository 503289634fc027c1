//! `retry`: the ticket of a job once more.

use std::process::ExitCode;

use serde_json::json;

use super::{Failure, operated, say, source};
use crate::cli::Retry;
use crate::operate;

pub(crate) async fn retry(arguments: &Retry) -> Result<ExitCode, Failure> {
    let queued = operate::retry_job(source(&arguments.source), &arguments.of.job).await;
    let (of, job) = queued.map_err(|error| operated(&error))?;
    say(&if arguments.json {
        json!({ "version": 1, "job": job, "retry_of": of.job }).to_string()
    } else {
        format!("queued as job {job}")
    });
    Ok(ExitCode::SUCCESS)
}
