//! `logs`: what the agent of a job printed.

use std::process::ExitCode;

use super::{Failure, JOB_FAILED, complain, operated, state_dir};
use crate::cli::Logs;
use crate::explain::find::find;
use crate::explain::headline;
use crate::history::JobResult;
use crate::operate::{self, OperateError};

pub(crate) async fn logs(arguments: &Logs) -> Result<ExitCode, Failure> {
    let state_dir = state_dir(&arguments.settings)?;
    let found = find(&state_dir, &arguments.of.job).map_err(|error| operated(&error.into()))?;
    let job = found.job;
    let unread = |source| operated(&OperateError::Log { job, source });
    if !arguments.follow {
        operate::print(&state_dir, job, arguments.tail).map_err(unread)?;
        return Ok(ExitCode::SUCCESS);
    }
    let found = operate::follow(&state_dir, found, arguments.tail).await.map_err(unread)?;
    complain(&format!("job {job}: {}", headline(&found)));
    let result = found.ended.map(|ended| ended.result);
    Ok(if result == Some(JobResult::Completed) { ExitCode::SUCCESS } else { JOB_FAILED.into() })
}
