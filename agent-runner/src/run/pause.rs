//! What becomes of a run whose provider lets nobody in for a while. It waits for a limit of minutes. For a longer
//! one, an app that hands jobs out for a term gets the job back and has it go on then; with any other, the run
//! waits itself as long as it has the time.
//!
//! Invariant: a run that waits can be told of, cancelled and ended by its budget like one that works.

use std::time::Duration;

use api_client::UtcTime;
use tokio::time::sleep;

use super::session::Session;
use crate::course::Phase;
use crate::outcome::{Published, RunError};
use crate::pulse::with_pulse;
use crate::report::Step;
use crate::worker::Ending;

/// A limit that holds for no longer is waited for by everybody: a job that begins anew elsewhere takes as long.
pub(super) const SHORT: Duration = Duration::from_secs(300);

/// Longest time that a run waits so in all where it can be given back: the coordinator has a deadline for it.
const SHORT_IN_ALL: Duration = Duration::from_secs(600);

/// Longest time that a run waits in all without a budget of time (`AGENT_TIME_BUDGET_SEC`): it holds a place
/// where others could work.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// How often a run waits at most: a limit that comes back again and again is no pause.
const WAITS_MAX: u32 = 10;

/// The providers' clocks are not ours.
const MARGIN: Duration = Duration::from_secs(1);

/// What a run has waited so far.
#[derive(Debug, Default)]
pub(super) struct Waited {
    times: u32,
    in_all: Duration,
}

impl Waited {
    /// Whether there is room for one more wait, in a run that has so much time left where it has a budget.
    fn allows(&self, wait: Duration, time_left: Option<Duration>) -> bool {
        let left = time_left.unwrap_or_else(|| WAIT_MAX.saturating_sub(self.in_all));
        self.times < WAITS_MAX && wait < left
    }

    /// Whether a limit that holds for so long is worth giving the job back.
    fn is_long(&self, limit: Duration) -> bool {
        limit > SHORT || self.in_all + limit > SHORT_IN_ALL
    }
}

impl Session<'_> {
    /// Waits until a limit is over; `what` says whose it is.
    ///
    /// # Errors
    /// [`RunError::Parked`] where it is not for this run to wait; else when it is told to stop meanwhile, or
    /// its budget ends.
    pub(super) async fn pause(&mut self, what: String, limit: Duration) -> Result<(), RunError> {
        let wait = limit.saturating_add(MARGIN);
        let until = UtcTime::after(wait);
        let may_wait = self.waited.allows(wait, self.time_left());
        let gives_back = self.reporter.holds_for_a_term() && self.waited.is_long(limit);
        if gives_back || !may_wait {
            self.job.course().parked(until, &what);
            return Err(RunError::Parked { what, until });
        }
        self.waited.times += 1;
        self.waited.in_all += wait;
        let summary = format!("{what}; the run waits until {until}");
        self.reporter.step(Step::Waiting, &summary, None).await;
        let _phase = self.job.course().phase(Phase::Waiting);
        let waited = self.stop().run_until_cancelled(sleep(wait));
        match with_pulse("the wait for a provider's limit to be over", waited).await {
            Some(()) => Ok(()),
            None => Err(match self.account().exhausted() {
                Some(how) if !self.job.is_cancelled() => {
                    RunError::Turn(Ending::BudgetExhausted(how))
                }
                Some(_) | None => RunError::Cancelled(Published::Nothing),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_waits_so_often_and_so_long_in_all_and_no_more() {
        let second = Duration::from_secs(1);
        let mut waited = Waited::default();
        assert!(waited.allows(WAIT_MAX - second, None));
        assert!(!waited.allows(WAIT_MAX, None));
        assert!(waited.allows(2 * WAIT_MAX, Some(3 * WAIT_MAX)), "a budget of its own counts");
        waited.in_all = WAIT_MAX - second;
        assert!(!waited.allows(second, None));
        let second_wait = Waited { times: 1, in_all: SHORT };
        assert!(!Waited::default().is_long(SHORT) && Waited::default().is_long(SHORT + second));
        assert!(!second_wait.is_long(SHORT) && second_wait.is_long(SHORT + second));
        let third_wait = Waited { times: 2, in_all: 2 * SHORT };
        assert!(third_wait.is_long(second));
        let often = Waited { times: WAITS_MAX, in_all: Duration::ZERO };
        assert!(!often.allows(second, None) && !often.allows(second, Some(WAIT_MAX)));
    }
}
