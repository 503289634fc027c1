//! Reasons to stop early, all of them into one token: the app's flag, and the signals by which
//! engines, service managers and people end a process.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::report::AppReporter;

/// How often the app is asked.
const POLL: Duration = Duration::from_secs(5);

/// How long a cancelled run may take to come to an end. With one entry in the ticket's log, and the end
/// of what is left running, this stays below the 10 s after which engines end a container.
const LIMIT: Duration = Duration::from_secs(5);

/// The app's flag over time.
///
/// The original app keeps one flag a ticket, sets it when someone cancels, and never clears it: a
/// later job of the same ticket sees the request that was meant for an earlier one. So a flag that is
/// set when we first look is not ours, and only its change from clear to set cancels this run. The
/// price: a request in the moment between the claim and our first look counts as an earlier one.
#[derive(Debug, Default)]
struct Flag {
    seen_clear: bool,
}

impl Flag {
    /// Takes what the app says now; whether that cancels this run.
    fn observe(&mut self, requested: bool) -> bool {
        self.seen_clear |= !requested;
        requested && self.seen_clear
    }
}

/// Asks the app until it wants the run to end, then cancels. Failed questions are asked again.
pub(crate) async fn watch_app(app: &AppReporter, cancel: &CancellationToken) {
    let mut flag = Flag::default();
    let mut first = true;
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match app.cancel_requested().await {
            Ok(requested) => {
                if flag.observe(requested) {
                    tracing::warn!("the app asks for the end of this run");
                    cancel.cancel();
                    return;
                }
                if requested && first {
                    tracing::warn!(
                        "the app's cancel flag was set before this run: ignored until it was clear"
                    );
                }
                first = false;
            }
            Err(error) => tracing::debug!(%error, "whether to cancel is not known"),
        }
    }
}

/// Says when a cancelled run has had its time to come to an end.
pub(crate) async fn hurry(cancel: &CancellationToken, late: &CancellationToken) -> Infallible {
    cancel.cancelled().await;
    sleep(LIMIT).await;
    late.cancel();
    std::future::pending().await
}

/// The signals that end a run.
#[derive(Debug)]
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl StopSignals {
    /// Takes over the signals from now on.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Cancels at the first of them.
    pub(crate) async fn watch(mut self, cancel: CancellationToken) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hang_up.recv() => "SIGHUP",
        };
        tracing::warn!(signal = name, "told to stop");
        cancel.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancels_at(observations: &[bool]) -> Option<usize> {
        let mut flag = Flag::default();
        observations.iter().position(|requested| flag.observe(*requested))
    }

    #[test]
    fn a_request_after_the_start_cancels() {
        assert_eq!(cancels_at(&[false, false, true]), Some(2));
    }

    #[test]
    fn a_flag_left_by_an_earlier_job_cancels_nothing() {
        assert_eq!(cancels_at(&[true, true, true]), None);
    }

    #[test]
    fn a_flag_that_was_cleared_and_set_again_cancels() {
        assert_eq!(cancels_at(&[true, false, true]), Some(2));
    }
}
