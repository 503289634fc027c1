//! `jobs`: what there was.

use std::process::ExitCode;

use super::{Failure, operated, say, state_dir};
use crate::cli::Jobs;
use crate::{clock, operate};

pub(crate) fn jobs(arguments: &Jobs) -> Result<ExitCode, Failure> {
    let state_dir = state_dir(&arguments.settings)?;
    let jobs =
        operate::ended_jobs(&state_dir, arguments.limit).map_err(|error| operated(&error))?;
    let json = arguments.json;
    say(&if json { operate::jobs_json(&jobs) } else { operate::jobs_text(&jobs, clock::now()) });
    Ok(ExitCode::SUCCESS)
}
