//! `status`: what the running coordinator does.

use std::process::ExitCode;

use super::{Failure, operated, say, state_dir};
use crate::cli::Show;
use crate::operate;

pub(crate) async fn status(arguments: &Show) -> Result<ExitCode, Failure> {
    let status = operate::status(&state_dir(&arguments.settings)?)
        .await
        .map_err(|error| operated(&error))?;
    let json = arguments.json;
    say(&if json { operate::status_json(&status) } else { operate::status_text(&status) });
    Ok(ExitCode::SUCCESS)
}
