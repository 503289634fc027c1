//! The ways to an end, as three decisions that are each taken once: no more claims, no more agents,
//! no more waiting. What they leave undone is on disk, and the next start goes on with it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::{OnStop, ShutdownConfig};

/// How long agents that were told to stop, and the reports about them, are waited for beyond the
/// time between the request to end and the kill.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// How soon after its announcement the stop for an upgrade comes.
const UPGRADE: Duration = Duration::from_secs(120);

/// How far the end has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    /// Cancelled when nothing more is to be claimed.
    pub(crate) claims: CancellationToken,
    /// Cancelled when the agents are to be stopped.
    pub(crate) agents: CancellationToken,
    /// Cancelled when everything is to be left as it stands.
    pub(crate) detach: CancellationToken,
    /// Whether the stop that comes is for a new start at once, which is to disturb no job.
    pub(crate) upgrade: Upgrade,
}

/// An upgrade that was announced. The stop comes at once then, or it is not for the upgrade any more: a restart may
/// have been refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upgrade(watch::Sender<Option<Instant>>);

impl Upgrade {
    /// The next stop, if it is soon, is for a new start.
    pub(crate) fn announce(&self) {
        self.0.send_replace(Some(Instant::now()));
    }

    fn is_near(&self) -> bool {
        self.0.borrow().is_some_and(|announced| announced.elapsed() < UPGRADE)
    }
}

/// A request to stop, by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Impatient;

impl Shutdown {
    /// Whether nothing more is to be claimed.
    pub(crate) fn has_begun(&self) -> bool {
        self.claims.is_cancelled()
    }

    /// Follows requests to stop, as the operator has chosen; returns at the one that means "now".
    /// `stop_grace` is the time between the request to end and the kill of an agent.
    pub(crate) async fn direct(
        &self,
        config: &ShutdownConfig,
        stop_grace: Duration,
        mut requested: impl AsyncFnMut(),
    ) -> Impatient {
        requested().await;
        self.claims.cancel();
        match config.on_stop {
            _ if self.upgrade.is_near() => self.detach.cancel(),
            OnStop::Detach => self.detach.cancel(),
            OnStop::Drain => {
                let until = Instant::now() + config.drain_timeout;
                if self.unless_detached(until, &mut requested).await {
                    self.stop_agents(stop_grace, &mut requested).await;
                }
            }
            OnStop::Stop => self.stop_agents(stop_grace, &mut requested).await,
        }
        if self.detach.is_cancelled() {
            requested().await;
        }
        Impatient
    }

    async fn stop_agents(&self, grace: Duration, requested: &mut impl AsyncFnMut()) {
        self.agents.cancel();
        let until = Instant::now() + grace + STOP_PATIENCE;
        self.unless_detached(until, requested).await;
    }

    /// Waits for a request; when none has come in time, leaves everything as it stands.
    async fn unless_detached(&self, until: Instant, requested: &mut impl AsyncFnMut()) -> bool {
        tokio::select! {
            () = requested() => true,
            () = sleep_until(until) => {
                tracing::warn!("not done in time: what is left is left running for the next start");
                self.detach.cancel();
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    /// How far the end has come after some requests, and whether the last one meant "now".
    async fn after(requests: u32, on_stop: OnStop) -> (bool, bool, bool, bool) {
        let shutdown = Shutdown::default();
        let config = ShutdownConfig { on_stop, drain_timeout: Duration::from_secs(300) };
        let left = Cell::new(requests);
        let requested = async || {
            if left.get() == 0 {
                std::future::pending::<()>().await;
            }
            left.set(left.get() - 1);
        };
        let mut directed = pin!(shutdown.direct(&config, Duration::from_secs(10), requested));
        let now = poll!(&mut directed).is_ready();
        (
            shutdown.claims.is_cancelled(),
            shutdown.agents.is_cancelled(),
            shutdown.detach.is_cancelled(),
            now,
        )
    }

    #[tokio::test]
    async fn the_default_leaves_the_agents_running_and_a_second_request_ends_at_once() {
        assert_eq!(after(1, OnStop::Detach).await, (true, false, true, false));
        assert_eq!(after(2, OnStop::Detach).await, (true, false, true, true));
    }

    #[tokio::test]
    async fn a_drain_waits_then_stops_the_agents_then_ends() {
        assert_eq!(after(1, OnStop::Drain).await, (true, false, false, false));
        assert_eq!(after(2, OnStop::Drain).await, (true, true, false, false));
        assert_eq!(after(3, OnStop::Drain).await, (true, true, false, true));
    }

    #[tokio::test]
    async fn a_stop_ends_the_agents_then_itself() {
        assert_eq!(after(1, OnStop::Stop).await, (true, true, false, false));
        assert_eq!(after(2, OnStop::Stop).await, (true, true, false, true));
    }

    /// Whether a stop that long after the announcement of an upgrade leaves the agents running.
    async fn detaches_after(announced: Duration) -> bool {
        let config =
            ShutdownConfig { on_stop: OnStop::Stop, drain_timeout: Duration::from_secs(300) };
        let shutdown = Shutdown::default();
        shutdown.upgrade.announce();
        tokio::time::advance(announced).await;
        let mut requests = 1..=1;
        let requested = async || {
            if requests.next().is_none() {
                std::future::pending::<()>().await;
            }
        };
        let mut directed = pin!(shutdown.direct(&config, Duration::from_secs(10), requested));
        assert!(poll!(&mut directed).is_pending());
        assert_ne!(shutdown.detach.is_cancelled(), shutdown.agents.is_cancelled());
        shutdown.detach.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn an_upgrade_leaves_the_agents_running_whatever_a_stop_does_otherwise() {
        assert!(detaches_after(Duration::ZERO).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upgrade_whose_restart_did_not_come_changes_no_later_stop() {
        assert!(!detaches_after(UPGRADE).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_takes_too_long_leaves_the_rest_to_the_next_start() {
        let shutdown = Shutdown::default();
        let config =
            ShutdownConfig { on_stop: OnStop::Drain, drain_timeout: Duration::from_secs(3) };
        let once = Cell::new(false);
        let requested = async || {
            if once.replace(true) {
                std::future::pending::<()>().await;
            }
        };
        let directed = shutdown.direct(&config, Duration::ZERO, requested);
        assert!(tokio::time::timeout(Duration::from_secs(4), directed).await.is_err());
        assert!(shutdown.detach.is_cancelled() && !shutdown.agents.is_cancelled());
    }
}
