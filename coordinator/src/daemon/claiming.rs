//! The claim loop: a slot, then a question, then a pause.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use api_client::ApiError;
use tokio::time::{sleep, timeout};

use super::Daemon;
use crate::board::Answer;
use crate::breaker::Dependency;
use crate::claim::Round;
use crate::config::Config;
use crate::context::Mode;
use crate::gate::GateState;
use crate::idle::Hold;
use crate::metrics::Claimed;
use crate::notify::Load;
use crate::slot::Slot;

/// The app's settings are asked for again after this long.
const SETTINGS_AGE: Duration = Duration::from_secs(30);

/// More slots than the configuration allows are not taken from the app either.
const SLOTS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

/// An app that is in trouble is asked this much more rarely.
const TROUBLE_FACTOR: u32 = 3;

/// An answer that is on its way when the coordinator is stopped is worth this much of its time.
const LAST_ANSWER: Duration = Duration::from_millis(800);

/// What the claim loop does next.
enum Next {
    Again,
    Pause,
    End,
}

impl Daemon {
    /// Claims until there is to be no more.
    pub(super) async fn claim_jobs(&mut self) {
        self.claim_until_told().await;
        self.ctx.pulse.rests();
    }

    async fn claim_until_told(&mut self) {
        let stop = self.ctx.shutdown.claims.clone();
        loop {
            self.ctx.pulse.beats();
            let Some(Some(slot)) = stop.run_until_cancelled(self.next_slot()).await else { return };
            let next = match self.round(slot).await {
                Some(round) => self.act_on(round),
                None => return,
            };
            match next {
                Next::Again => {}
                Next::End => return,
                Next::Pause => {
                    let pause = jittered(self.pause());
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = self.ctx.gate.changed() => {}
                        () = self.ctx.live.changed() => self.settings_read = None,
                        () = self.ctx.pulse.while_waiting(sleep(pause)) => {}
                    }
                }
            }
        }
    }

    /// One round. When the coordinator is stopped meanwhile, the answer that is on its way is waited
    /// for a moment; an answer that comes later is had again by the next start, from an app that
    /// knows claim ids.
    async fn round(&mut self, slot: Slot) -> Option<Round> {
        let ctx = Arc::clone(&self.ctx);
        let round = self.claimer.round(&ctx, slot);
        tokio::pin!(round);
        tokio::select! {
            biased;
            round = &mut round => return Some(round),
            () = ctx.shutdown.claims.cancelled() => {}
        }
        timeout(LAST_ANSWER, round).await.ok()
    }

    fn act_on(&mut self, round: Round) -> Next {
        let once = self.ctx.mode == Mode::Once;
        self.note_app(&round);
        if let Some(claimed) = claimed(&round) {
            self.ctx.board.round_ended(claimed);
        }
        match round {
            Round::Job(claimed) => {
                self.status.working(self.load());
                self.ctx.board.hold(None);
                self.ctx.board.asked(Answer::Job);
                self.spawn_job(*claimed);
                if once { Next::End } else { Next::Again }
            }
            Round::Lost(finished) => {
                self.undelivered.fetch_add(1, Ordering::Relaxed);
                self.ctx.board.job_ended(&finished.outcome, None);
                self.spawn_report(*finished, Some(Instant::now()));
                if once { Next::End } else { Next::Pause }
            }
            Round::Nothing => {
                self.status.idle(self.load());
                self.ctx.board.hold(None);
                self.ctx.board.asked(Answer::NoJob);
                if once {
                    tracing::info!("no job waits");
                    return Next::End;
                }
                Next::Pause
            }
            Round::Partly(reason) => {
                self.status.left_out(self.load(), &reason);
                self.ctx.board.hold_some(Hold::from(&reason));
                self.ctx.board.asked(Answer::NoJob);
                if once { Next::End } else { Next::Pause }
            }
            Round::Held(reason) => {
                self.status.held(&reason);
                self.ctx.board.hold(Some(Hold::from(&reason)));
                Next::Pause
            }
            Round::Trouble(error) => {
                self.status.trouble(&error);
                self.ctx.board.hold(Some(Hold::from(&error)));
                Next::Pause
            }
            Round::Closed => Next::Again,
            Round::Stopped => Next::End,
        }
    }

    fn note_app(&self, round: &Round) {
        let answered = match round {
            Round::Trouble(error) => match error {
                ApiError::Unreachable { .. }
                | ApiError::Busy { .. }
                | ApiError::Malformed { .. } => false,
                ApiError::Gone { .. } => error.is_unknown_to_the_app(),
                ApiError::Unauthorised { .. } | ApiError::Refused { .. } => true,
            },
            Round::Job(_) | Round::Lost(_) | Round::Nothing | Round::Partly(_) => true,
            Round::Held(_) | Round::Closed | Round::Stopped => return,
        };
        self.ctx.breakers.note(Dependency::App, &self.ctx.board, answered);
    }

    /// A free slot, by the limit that the app has set lately: it is asked for that while we wait.
    /// None when the last job of a drain has ended.
    async fn next_slot(&mut self) -> Option<Slot> {
        loop {
            self.ctx.pulse.beats();
            match self.ctx.gate.current() {
                GateState::Open => {}
                GateState::Paused => {
                    self.status.closed("paused by the operator");
                    self.ctx.board.hold(Some(Hold::paused()));
                    self.ctx.pulse.while_waiting(self.ctx.gate.changed()).await;
                    continue;
                }
                GateState::Draining => {
                    self.status.closed("draining: the jobs that run are finished first");
                    self.ctx.board.hold(Some(Hold::draining()));
                    if self.ctx.pulse.while_waiting(self.drained()).await {
                        return None;
                    }
                    continue;
                }
            }
            if self.settings_read.is_none_or(|at| at.elapsed() > SETTINGS_AGE) {
                self.follow_app_settings().await;
            }
            let changed = self.ctx.gate.changed();
            tokio::select! {
                slot = timeout(SETTINGS_AGE, self.slots.reserve()) => {
                    if let Ok(slot) = slot {
                        self.ctx.board.slots(self.slots.limit().get());
                        return Some(slot);
                    }
                }
                () = changed => {}
                () = self.ctx.live.changed() => self.settings_read = None,
            }
        }
    }

    /// Waits for the last job to end; false when the operator wants to go on.
    async fn drained(&self) -> bool {
        let ended = async {
            while !self.tasks.is_empty() {
                sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::select! {
            () = ended => true,
            () = self.ctx.gate.changed() => self.ctx.gate.current() == GateState::Draining
                && self.tasks.is_empty(),
        }
    }

    fn load(&self) -> Load {
        self.ctx.board.slots(self.slots.limit().get());
        Load {
            used: self.slots.used(),
            slots: self.slots.limit().get(),
            host_runs: self.ctx.host_runs.load(Ordering::Relaxed),
        }
    }

    async fn follow_app_settings(&mut self) {
        self.settings_read = Some(Instant::now());
        match self.ctx.api().settings().await {
            Ok(settings) => self.slots_of_app = settings.max_concurrent_agents,
            // What it said last holds on, within the settings as they are now.
            Err(error) => tracing::debug!(%error, "the app's settings were not read"),
        }
        let limit = limit(&self.ctx.config(), self.slots_of_app);
        if limit != self.slots.limit() {
            tracing::info!(limit, "the number of slots is now {limit}");
            self.slots.set_limit(limit);
        }
    }

    fn pause(&self) -> Duration {
        let poll = self.ctx.config().schedule.poll_interval;
        if self.status.in_trouble() { poll * TROUBLE_FACTOR } else { poll }
    }
}

/// What a round that was not broken off brought, as it is counted.
const fn claimed(round: &Round) -> Option<Claimed> {
    Some(match round {
        Round::Job(_) => Claimed::Job,
        Round::Lost(_) => Claimed::Lost,
        Round::Nothing => Claimed::Nothing,
        Round::Partly(_) => Claimed::Partly,
        Round::Held(_) => Claimed::Held,
        Round::Trouble(_) => Claimed::Trouble,
        Round::Closed | Round::Stopped => return None,
    })
}

/// How many jobs may run at once: as the app has said, where it has, and no more than the settings allow.
fn limit(config: &Config, of_app: Option<NonZeroUsize>) -> NonZeroUsize {
    let most = if config.is_for_one_agent() { NonZeroUsize::MIN } else { SLOTS_MAX };
    of_app.unwrap_or(config.schedule.max_concurrent).min(most)
}

/// Between three quarters and five quarters of an interval, so that coordinators that were started
/// together do not ask together.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.75 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Flags, load};

    #[test]
    fn the_settings_bound_the_slots_whether_the_app_says_a_number_or_not() {
        let slots = |variables: &[(&str, &str)], of_app| {
            let url = ("TERARCHITECT_API_URL", "http://app.example:5010");
            let environment = Environment::of([url].into_iter().chain(variables.iter().copied()));
            let config = load(&Flags::default(), &environment).unwrap().config;
            limit(&config, NonZeroUsize::new(of_app)).get()
        };
        let four = ("MAX_CONCURRENT_AGENTS", "4");
        assert_eq!(slots(&[four], 0), 4);
        assert_eq!(slots(&[four], 8), 8);
        assert_eq!(slots(&[four], 5_000), 1_000);
        assert_eq!(slots(&[("AGENT_DOCKER_MODE", "dood")], 8), 1);
    }
}
