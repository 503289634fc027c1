//! The settings of the service, for commands that do its work where it does not.

use std::path::{Path, PathBuf};

use api_client::error_chain;

use super::OperateError;
use crate::check::USUAL_ENV_FILE;
use crate::config::{self, Config, EnvFile, Environment, Flags, Loaded};

/// Where such a command has them from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceSource<'s> {
    pub(crate) flags: &'s Flags,
    /// The file that the service has its environment from; the usual one where none is named.
    pub(crate) env_file: Option<&'s Path>,
}

impl ServiceSource<'_> {
    /// The environment here with the service's own file, and what could not be read of that. A file that is
    /// named wins over the environment, as it does for the service; the usual one gives way to it.
    pub(super) fn environment(self) -> Result<(Environment, Option<String>), OperateError> {
        let here = Environment::from_process();
        if let Some(path) = self.env_file {
            return Ok((here.under(EnvFile::read(path)?), None));
        }
        Ok(match EnvFile::read(Path::new(USUAL_ENV_FILE)) {
            Ok(file) => (here.over(file), None),
            Err(error) if error.is_absent() => (here, None),
            Err(error) => {
                (here, Some(format!("{}; its settings are missing", error_chain(&error))))
            }
        })
    }

    /// The state directory that is asked about: that of all commands, unless a file that is named has another.
    pub(super) fn state_dir(self) -> Result<PathBuf, OperateError> {
        if self.env_file.is_none() {
            return super::state_dir(self.flags);
        }
        let (environment, _) = self.environment()?;
        Ok(config::load_state_dir(self.flags, &environment)?)
    }

    /// All settings, and what could not be read of them.
    pub(crate) fn load(self) -> Result<(Loaded, Option<String>), OperateError> {
        let (environment, doubt) = self.environment()?;
        match (config::load(self.flags, &environment), doubt) {
            (Ok(loaded), doubt) => Ok((loaded, doubt)),
            (Err(source), Some(doubt)) => Err(OperateError::WithoutFile { doubt, source }),
            (Err(source), None) => Err(source.into()),
        }
    }

    /// What a command works with where no coordinator runs: in the state directory that it asked about, which
    /// may be that of the packaged unit, and nowhere else.
    pub(super) fn config_in(self, state_dir: PathBuf) -> Result<Config, OperateError> {
        let (Loaded { config, .. }, _) = self.load()?;
        Ok(Config { state_dir, ..config })
    }
}
