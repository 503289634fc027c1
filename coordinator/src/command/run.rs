//! `run`: the daemon, until it is told to stop.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use super::{Failure, JOB_FAILED, block_on, failure, load};
use crate::cli::Run;
use crate::config::Loaded;
use crate::context::Mode;
use crate::daemon::Daemon;
use crate::logging;
use crate::shutdown::Impatient;
use crate::signals::{StopSignals, reload_on_hangup};

const IMPATIENT: &str = "stopped by a further signal; what was left is taken up at the next start";

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
        let daemon = Daemon::new(config, mode).map_err(|error| failure(&error))?;
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
