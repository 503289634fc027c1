//! `why-idle`: what keeps jobs from being claimed.

use std::process::ExitCode;

use super::{Failure, operated, say, show, state_dir};
use crate::cli::Show;
use crate::operate;

pub(crate) async fn why_idle(arguments: &Show) -> Result<ExitCode, Failure> {
    let state_dir = state_dir(&arguments.settings)?;
    let status = operate::status(&state_dir).await.map_err(|error| operated(&error))?;
    let idle = operate::why_idle(&status);
    if arguments.json {
        say(&operate::why_idle_json(&idle));
    } else {
        show(|paper| operate::why_idle_text(&idle, paper));
    }
    Ok(ExitCode::SUCCESS)
}
