//! Feeding the service manager's watchdog: only while the claim loop goes on, and the calls to the engine
//! come to an end, whichever.
//!
//! An engine that is down or refuses is no reason to be started anew: that mends nothing, and would hide
//! what is wrong behind restarts. Status line, `/health`, metrics and log say it. What a new start mends is
//! a loop, a thread or a call that hangs (`docs/decisions/0013-health.md`).

use std::time::Duration;

use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::notify;

/// So often within its time the watchdog is fed.
const FEEDS: u32 = 3;

/// Some call to the engine has come to an end within this time: [`probe`](crate::probe) sees to it that
/// there are calls, and each has a time limit of seconds.
const ENGINE_WINDOW: Duration = Duration::from_secs(120);

/// What hangs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Hangs {
    #[error("the claim loop has given no sign for {} s", .0.as_secs())]
    ClaimLoop(Duration),
    #[error("no call to the Docker Engine has come to an end for {} s", .0.as_secs())]
    EngineCalls(Duration),
}

/// Whether the process is at work.
///
/// # Errors
/// What hangs, so that only a new start helps.
pub(crate) fn alive(ctx: &Context) -> Result<(), Hangs> {
    if let Some(since) = ctx.pulse.stuck() {
        return Err(Hangs::ClaimLoop(since));
    }
    match ctx.engine_calls().map(|calls| calls.ended_ago()) {
        Some(since) if since > ENGINE_WINDOW => Err(Hangs::EngineCalls(since)),
        Some(_) | None => Ok(()),
    }
}

/// Feeds it until told to end; at once done where there is none.
pub(crate) async fn run(ctx: &Context, end: &CancellationToken) {
    let Some(time) = notify::watchdog_time() else { return };
    let mut ticks = interval(time / FEEDS);
    let mut said = false;
    while end.run_until_cancelled(ticks.tick()).await.is_some() {
        match alive(ctx) {
            Ok(()) => {
                said = false;
                notify::feed_watchdog();
            }
            Err(hangs) if !said => {
                said = true;
                tracing::error!("{hangs}: the service manager's watchdog is fed no more");
            }
            Err(_) => {}
        }
    }
}
