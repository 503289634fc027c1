//! `keep`: stay with an agent on this host.

use std::process::ExitCode;
use std::time::Duration;

use super::{Failure, failure};
use crate::cli::KeepArguments;
use crate::keeper::{self, Keep};

pub(crate) async fn keep(arguments: KeepArguments) -> Result<ExitCode, Failure> {
    let KeepArguments { dir, log, grace_ms, command } = arguments;
    let order = Keep { dir, log, grace: Duration::from_millis(grace_ms), command };
    keeper::keep(&order).await.map_err(|error| failure(&error))?;
    Ok(ExitCode::SUCCESS)
}
