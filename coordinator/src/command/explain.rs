//! `explain`: one page about one job.

use std::process::ExitCode;

use super::{Failure, operated, say, show, state_dir};
use crate::cli::Explain;
use crate::{explain as page, operate};

pub(crate) async fn explain(arguments: &Explain) -> Result<ExitCode, Failure> {
    let state_dir = state_dir(&arguments.settings)?;
    let explained = operate::explain_job(&state_dir, &arguments.of.job).await;
    let explained = explained.map_err(|error| operated(&error))?;
    if arguments.json {
        say(&page::json(&explained));
    } else {
        show(|paper| page::text(&explained, paper));
    }
    Ok(ExitCode::SUCCESS)
}
