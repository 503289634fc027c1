//! The environment of the service, for commands that do its work where it does not.

use std::path::Path;

use api_client::error_chain;

use super::OperateError;
use crate::check::USUAL_ENV_FILE;
use crate::config::{EnvFile, Environment};

/// The environment here with the service's own file, and what could not be read of that. A file that is named
/// wins over the environment, as it does for the service; the usual one gives way to it.
pub(super) fn environment(
    env_file: Option<&Path>,
) -> Result<(Environment, Option<String>), OperateError> {
    let here = Environment::from_process();
    if let Some(path) = env_file {
        return Ok((here.under(EnvFile::read(path)?), None));
    }
    Ok(match EnvFile::read(Path::new(USUAL_ENV_FILE)) {
        Ok(file) => (here.over(file), None),
        Err(error) if error.is_absent() => (here, None),
        Err(error) => (here, Some(format!("{}; its settings are missing", error_chain(&error)))),
    })
}
