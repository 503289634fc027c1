//! `pause`, `resume`, `notify-test`: one word to the running coordinator.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::{Failure, operated, say, state_dir};
use crate::cli::Show;
use crate::control::Request;
use crate::operate;

/// `field` and `value` are what is so when that is done, for programs.
pub(crate) async fn tell(
    arguments: &Show,
    request: Request,
    (field, value): (&str, impl Serialize),
) -> Result<ExitCode, Failure> {
    operate::command(&state_dir(&arguments.settings)?, request)
        .await
        .map_err(|error| operated(&error))?;
    if arguments.json {
        say(&json!({ "version": 1, field: value }).to_string());
    }
    Ok(ExitCode::SUCCESS)
}
