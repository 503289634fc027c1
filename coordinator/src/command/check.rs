//! `check`: could jobs be run?

use std::process::ExitCode;

use super::{FAILURE, Failure, operated, say};
use crate::cli::Check;
use crate::{check, operate};

pub(crate) async fn check(arguments: &Check) -> Result<ExitCode, Failure> {
    let findings = operate::check(&arguments.settings).await.map_err(|error| operated(&error))?;
    say(&if arguments.json { check::json(&findings) } else { check::text(&findings) });
    Ok(if check::all_well(&findings) { ExitCode::SUCCESS } else { FAILURE.into() })
}
