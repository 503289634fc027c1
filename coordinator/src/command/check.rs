//! `check`: could jobs be run? What is found is printed as it is found.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use api_client::error_chain;

use super::{FAILURE, Failure, MISCONFIGURED, operated, progress, say};
use crate::check::{Depth, Step};
use crate::cli::Check;
use crate::config::{EnvFile, Environment};
use crate::{check, operate};

/// Says that the environment is that of the file already.
const TAKEN: &str = "--env-taken";

pub(crate) async fn check(arguments: &Check) -> Result<ExitCode, Failure> {
    let Check { json, quick, env_file, env_taken, settings } = arguments;
    if let Some(file) = env_file.as_ref().filter(|_| !env_taken) {
        return Err(start_in(file));
    }
    let depth = if *quick { Depth::Quick } else { Depth::Full };
    let shows = io::stderr().is_terminal();
    let tell = |step| match step {
        Step::Begun { what } if shows => progress(&format!("… {what}")),
        Step::Begun { .. } => {}
        Step::Found { .. } if *json => {}
        Step::Found { finding } => {
            if shows {
                progress("");
            }
            say(&check::line(&finding));
        }
    };
    let findings = operate::check(settings, depth, env_file.as_deref(), &tell).await;
    if shows {
        progress("");
    }
    let findings = findings.map_err(|error| operated(&error))?;
    if *json {
        say(&check::json(&findings));
    }
    Ok(if check::all_well(&findings) { ExitCode::SUCCESS } else { FAILURE.into() })
}

/// Becomes the same command in the environment that a file describes; what stood in the way.
fn start_in(file: &Path) -> Failure {
    let failed = |error: &dyn Error| Failure { code: MISCONFIGURED, message: error_chain(error) };
    let variables = match EnvFile::read(file) {
        Ok(read) => read.variables,
        Err(error) => return failed(&error),
    };
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return failed(&error),
    };
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).arg(TAKEN);
    command.env_clear().envs(Environment::from_process().of_user()).envs(variables);
    failed(&command.exec())
}
