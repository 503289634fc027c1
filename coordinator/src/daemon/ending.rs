//! The end: what runs is waited for, or left, as the operator has chosen.

use std::time::Duration;

use tokio::time::{interval, timeout};

use super::Daemon;
use crate::gate::GateState;
use crate::notification::{Event, Fate};

/// How long tasks may take to put down what they have in hand when everything is left. The end comes
/// within two seconds of the request, the wait for a last claim included.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long notifications and traces may take to be sent, where the end is in no hurry.
const LAST_SENT: Duration = Duration::from_secs(3);

/// How often the wait for jobs is told about.
const PROGRESS: Duration = Duration::from_secs(1);

impl Daemon {
    /// Waits for the jobs, then ends what goes on beside them.
    pub(super) async fn end(&mut self) {
        let shutdown = self.ctx.shutdown.clone();
        if shutdown.detach.is_cancelled() {
            self.status.stopping("stopping; agents are left running");
        } else if shutdown.has_begun() {
            self.status.stopping("stopping; waiting for the jobs");
        }
        let drains = self.drains();
        self.tasks.close();
        let left = tokio::select! {
            biased;
            () = self.tasks.wait() => 0,
            () = shutdown.detach.cancelled() => {
                let _ended = timeout(LAST_WORDS, self.tasks.wait()).await;
                self.tasks.len()
            }
            () = self.tell_progress() => 0,
        };
        if left > 0 {
            tracing::info!("{left} jobs are left as they stand, for the next start");
        }
        if self.ctx.gate.current() == GateState::Draining && self.tasks.is_empty() {
            if let Err(error) = self.ctx.gate.leave(GateState::Open).await {
                tracing::warn!(%error, "the next start will think that it is to drain");
            }
            tracing::info!("drained");
        }
        if drains && left == 0 {
            self.ctx.notifier.tell(&self.ctx.config().notify, Event::Drained);
        }
        let (background, end) = &self.background;
        end.cancel();
        background.close();
        let patience = if shutdown.detach.is_cancelled() { LAST_WORDS } else { LAST_SENT };
        let _ended = timeout(patience, background.wait()).await;
    }

    /// Whether people know that nothing is claimed any more, and are to know when the last job has ended: by
    /// the operator's wish, or told now.
    fn drains(&self) -> bool {
        let shutdown = &self.ctx.shutdown;
        let asked_for = self.ctx.gate.current() == GateState::Draining;
        let stopped = shutdown.has_begun() && !shutdown.detach.is_cancelled();
        if stopped && !asked_for {
            let fate = if shutdown.agents.is_cancelled() { Fate::Stopped } else { Fate::Finished };
            let event = Event::Draining { jobs: self.tasks.len(), fate };
            self.ctx.notifier.tell(&self.ctx.config().notify, event);
        }
        stopped || asked_for
    }

    async fn tell_progress(&self) {
        let mut ticks = interval(PROGRESS);
        loop {
            ticks.tick().await;
            if self.ctx.shutdown.has_begun() {
                let jobs = self.tasks.len();
                self.status.draining(jobs, PROGRESS * 30);
            }
        }
    }
}
