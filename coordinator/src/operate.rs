//! The commands of an operator to the running coordinator, and what they print.

mod show;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use crate::config::{self, ConfigErrors, Environment, Flags};
use crate::context::Mode;
use crate::control::{Answer, ControlError, Request, ask};
use crate::daemon::{Daemon, StartError};
use crate::housekeeping::{Deed, Grace, SweepError, Swept, sweep};

pub(crate) use show::{status_json, status_text, swept_json, swept_text};

/// Between two looks at a coordinator that drains.
const LOOK: Duration = Duration::from_secs(1);

/// A command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperateError {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("an answer to another question came")]
    Confused,
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("nothing was removed")]
    Sweep(#[from] SweepError),
}

/// The state directory that these flags and the environment name.
pub(crate) fn state_dir(flags: &Flags) -> Result<PathBuf, OperateError> {
    Ok(config::load_state_dir(flags, &Environment::from_process())?)
}

/// Has the running coordinator do something that has no answer of its own.
pub(crate) async fn command(state_dir: &Path, request: Request) -> Result<(), OperateError> {
    match ask(state_dir, request).await? {
        Answer::Done => Ok(()),
        _ => Err(OperateError::Confused),
    }
}

/// What the running coordinator does.
pub(crate) async fn status(state_dir: &Path) -> Result<crate::board::StatusView, OperateError> {
    match ask(state_dir, Request::Status).await? {
        Answer::Status(status) => Ok(status),
        _ => Err(OperateError::Confused),
    }
}

/// Waits until a coordinator that drains has ended, telling how many jobs are left.
pub(crate) async fn wait_until_drained(
    state_dir: &Path,
    mut tell: impl FnMut(String),
) -> Result<(), OperateError> {
    loop {
        match status(state_dir).await {
            Ok(status) if status.gate != "draining" => {
                tell("no longer draining: someone resumed or paused it".to_owned());
                return Ok(());
            }
            Ok(status) => tell(format!("{} jobs left", status.jobs.len())),
            // It has ended, perhaps in the middle of its answer.
            Err(OperateError::Control(
                ControlError::NotRunning { .. } | ControlError::Broken { .. },
            )) => return Ok(()),
            Err(error) => return Err(error),
        }
        sleep(LOOK).await;
    }
}

/// Removes garbage: through the running coordinator, or here where none runs.
pub(crate) async fn gc(flags: &Flags, deed: Deed) -> Result<Swept, OperateError> {
    match ask(&state_dir(flags)?, Request::Gc { deed }).await {
        Ok(Answer::Swept(swept)) => Ok(swept),
        Ok(_) => Err(OperateError::Confused),
        Err(ControlError::NotRunning { .. }) => {
            let loaded = config::load(flags, &Environment::from_process())?;
            let daemon = Daemon::new(loaded.config, Mode::Once)?;
            Ok(sweep(&daemon.context(), Grace::None, deed).await?)
        }
        Err(error) => Err(error.into()),
    }
}
