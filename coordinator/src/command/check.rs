//! `check`: could jobs be run?

use std::process::ExitCode;

use super::{FAILURE, Failure, operated, say};
use crate::check::Depth;
use crate::cli::Check;
use crate::{check, operate};

pub(crate) async fn check(arguments: &Check) -> Result<ExitCode, Failure> {
    let Check { json, quick, env_file, settings } = arguments;
    let depth = if *quick { Depth::Quick } else { Depth::Full };
    let findings = operate::check(settings, depth, env_file.as_deref()).await;
    let findings = findings.map_err(|error| operated(&error))?;
    say(&if *json { check::json(&findings) } else { check::text(&findings) });
    Ok(if check::all_well(&findings) { ExitCode::SUCCESS } else { FAILURE.into() })
}
