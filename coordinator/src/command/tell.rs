//! `pause`, `resume`, `notify-test`: one word to the running coordinator.

use std::process::ExitCode;

use super::{Failure, operated, state_dir};
use crate::cli::Plain;
use crate::control::Request;
use crate::operate;

pub(crate) async fn tell(arguments: &Plain, request: Request) -> Result<ExitCode, Failure> {
    operate::command(&state_dir(&arguments.settings)?, request)
        .await
        .map_err(|error| operated(&error))?;
    Ok(ExitCode::SUCCESS)
}
