//! `run`: the daemon, until it is told to stop.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Failure, JOB_FAILED, block_on, failure, load};
use crate::cli::Run;
use crate::config::{Config, Loaded};
use crate::context::Mode;
use crate::daemon::{Daemon, StartError};
use crate::ledger::LockError;
use crate::logging;
use crate::shutdown::Impatient;
use crate::signals::{StopSignals, reload_on_hangup};

const IMPATIENT: &str = "stopped by a further signal; what was left is taken up at the next start";

/// How long a command that works without a coordinator, as `retry` or `gc`, may have the state directory, and how
/// often it is looked whether it is done.
const COMMAND_TIME: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

pub(crate) fn run(arguments: &Run) -> Result<ExitCode, Failure> {
    // An agent on this host may be of the same user: it is not to read the environment or the memory.
    nix::sys::prctl::set_dumpable(false).map_err(|error| failure(&error))?;
    let Loaded { config, notices, report } = load(&arguments.settings)?;
    // The writer is the last to go: it writes what was said before.
    let (log, _writer) = logging::init(&config.log).map_err(|error| failure(&error))?;
    for notice in notices {
        tracing::warn!("{notice}");
    }
    let mode = if arguments.once { Mode::Once } else { Mode::Forever };
    let undelivered = block_on(async {
        let (shutdown, grace) = (config.shutdown.clone(), config.limits.stop_grace);
        let daemon = prepared(config, mode).await.map_err(|error| failure(&error))?;
        let ctx = daemon.context();
        daemon.log_by(log);
        ctx.live.note_settings(&report);
        let mut signals = StopSignals::new().map_err(|error| failure(&error))?;
        tokio::select! {
            done = daemon.run() => done.map_err(|error| failure(&error)),
            Impatient = ctx.shutdown.direct(&shutdown, grace, async || signals.next(&ctx.shutdown).await) => {
                Err(failure(&io::Error::other(IMPATIENT)))
            }
            failed = reload_on_hangup(Arc::clone(&ctx), &arguments.settings) => match failed {
                Ok(never) => match never {},
                Err(error) => Err(failure(&error)),
            },
        }
    })?;
    Ok(if mode == Mode::Once && undelivered > 0 { JOB_FAILED.into() } else { ExitCode::SUCCESS })
}

/// The daemon, once no such command has the state directory.
async fn prepared(config: Config, mode: Mode) -> Result<Daemon, StartError> {
    let begun = Instant::now();
    loop {
        match Daemon::new(config.clone(), mode) {
            Err(StartError::Lock(LockError::Held { .. })) if begun.elapsed() < COMMAND_TIME => {
                sleep(LOOK).await;
            }
            made => return made,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment, Flags};
    use crate::ledger::StateLock;

    #[tokio::test]
    async fn a_command_that_has_the_state_directory_for_a_moment_keeps_no_daemon_from_its_start() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment::of([
            ("TERARCHITECT_API_URL", "http://localhost:9"),
            ("COORDINATOR_STATE_DIR", dir.path().to_str().unwrap()),
        ]);
        let config = config::load(&Flags::default(), &environment).unwrap().config;
        let command = StateLock::take(dir.path()).unwrap();
        let (daemon, ()) = tokio::join!(prepared(config, Mode::Forever), async { drop(command) });
        daemon.unwrap();
    }
}
