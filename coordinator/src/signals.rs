//! The signals that people and service managers send.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use api_client::error_chain;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::config::{self, Environment, Flags, Loaded, Reloaded};
use crate::context::Context;
use crate::daemon::api_of;
use crate::shutdown::Shutdown;

/// Requests to stop.
#[derive(Debug)]
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    upgrade: Signal,
}

impl StopSignals {
    /// Takes over the signals from now on.
    pub(crate) fn new() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let upgrade = signal(SignalKind::user_defined1())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())?, upgrade })
    }

    /// Waits for the next one. SIGUSR1 before it, which the package sends at an upgrade, says that the stop
    /// is for a new start: that is told to `shutdown`.
    pub(crate) async fn next(&mut self, shutdown: &Shutdown) {
        loop {
            tokio::select! {
                // A stop may come right after.
                biased;
                _ = self.upgrade.recv() => {
                    tracing::info!("a stop within two minutes is for an upgrade: agents go on");
                    shutdown.upgrade.announce();
                }
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
            }
        }
    }
}

/// Takes up changed settings at each SIGHUP. A configuration that is wrong is said so, and the one
/// before it stays.
pub(crate) async fn reload_on_hangup(ctx: Arc<Context>, flags: &Flags) -> io::Result<Infallible> {
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        hangup.recv().await;
        if let Err(problem) = reload(&ctx, flags).await {
            tracing::error!("settings not changed: {problem}");
        }
    }
}

async fn reload(ctx: &Context, flags: &Flags) -> Result<(), String> {
    let flags = flags.clone();
    // A command that is asked for secrets may take seconds, and the jobs go on meanwhile.
    let loading = spawn_blocking(move || config::load(&flags, &Environment::from_process()));
    let loaded = loading.await.map_err(|error| error.to_string())?;
    let Loaded { config, notices, report } = loaded.map_err(|errors| errors.to_string())?;
    let Reloaded { config, taken_up, at_restart } = config::reloaded(&ctx.config(), config);
    let api = api_of(&config.app, ctx.alias).map_err(|error| error_chain(&error))?;
    if let Some(log) = ctx.log.get() {
        log.levels.set_filter(&config.log.filter).map_err(|error| error_chain(&error))?;
    }
    ctx.live.replace(config, api);
    ctx.live.note_settings(&report);
    for notice in notices {
        tracing::warn!("{notice}");
    }
    for name in at_restart {
        tracing::warn!("{name} was changed: it takes effect at a restart");
    }
    match taken_up.as_slice() {
        [] => tracing::info!("settings read again: none to take up"),
        names => tracing::info!("settings taken up: {}", names.join(", ")),
    }
    Ok(())
}
