//! `attach`: a shell in the container of a running job.

use std::process::ExitCode;

use super::{Failure, operated, say, screen, state_dir};
use crate::cli::Attach;
use crate::engine::Engine;
use crate::explain::Live;
use crate::operate::{self, AttachError, Attachable, Whose};

pub(crate) async fn attach(arguments: &Attach) -> Result<ExitCode, Failure> {
    let state_dir = state_dir(&arguments.settings)?;
    let failed = |error: AttachError| operated(&error.into());
    let container = match operate::attachable(&state_dir, &arguments.of.job).map_err(failed)? {
        Attachable::Container(container) => container,
        Attachable::Host(text) => {
            say(&text);
            return Ok(ExitCode::SUCCESS);
        }
    };
    let host = match operate::live(&state_dir).await {
        Live::Answered(status) => status.engine,
        Live::NotRunning | Live::NoAnswer(_) => {
            operate::engine_host(&arguments.settings).map_err(|error| operated(&error))?
        }
    };
    let whose = if arguments.root { Whose::Root } else { Whose::Worker };
    let engine = Engine::new(host.as_deref());
    operate::attach(&engine, &container, whose, &screen()).await.map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}
