//! `log-level`: what the running coordinator logs from now on.

use std::process::ExitCode;

use serde_json::json;

use super::{Failure, operated, say, state_dir};
use crate::cli::LogLevel;
use crate::control::Request;
use crate::operate;

pub(crate) async fn log_level(arguments: &LogLevel) -> Result<ExitCode, Failure> {
    let for_sec = arguments.time.map(|time| time.as_secs().max(1));
    let request = Request::LogLevel { filter: arguments.filter.clone(), for_sec };
    let state_dir = state_dir(&arguments.settings)?;
    operate::command(&state_dir, request).await.map_err(|error| operated(&error))?;
    if arguments.json {
        let said = json!({ "version": 1, "filter": arguments.filter, "for": for_sec });
        say(&said.to_string());
    }
    Ok(ExitCode::SUCCESS)
}
