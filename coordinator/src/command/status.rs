//! `status`: what the running coordinator does.

use std::process::ExitCode;

use super::{Failure, operated, say, show, state_dir};
use crate::cli::Show;
use crate::operate;

pub(crate) async fn status(arguments: &Show) -> Result<ExitCode, Failure> {
    let state_dir = state_dir(&arguments.settings)?;
    let status = operate::status(&state_dir).await.map_err(|error| operated(&error))?;
    if arguments.json {
        say(&operate::status_json(&status));
    } else {
        show(|paper| operate::status_text(&status, paper));
    }
    Ok(ExitCode::SUCCESS)
}
