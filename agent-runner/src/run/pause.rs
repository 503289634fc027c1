//! What becomes of a run whose provider lets nobody in for a while: an app that hands jobs out for a term gets
//! it back and has it go on then; with any other, the run waits itself as long as it has the time.
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

/// Longest wait of a run without a budget of time (`AGENT_TIME_BUDGET_SEC`): it holds a place where others
/// could work.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// The providers' clocks are not ours.
const MARGIN: Duration = Duration::from_secs(1);

impl Session<'_> {
    /// Waits until a limit is over; `what` says whose it is.
    ///
    /// # Errors
    /// [`RunError::Parked`] where it is not for this run to wait; else when it is told to stop meanwhile, or
    /// its budget ends.
    pub(super) async fn pause(&self, what: String, wait: Duration) -> Result<(), RunError> {
        let wait = wait.saturating_add(MARGIN);
        let until = UtcTime::after(wait);
        let time_left = self.time_left().unwrap_or(WAIT_MAX);
        if self.reporter.holds_for_a_term() || wait >= time_left {
            self.job.course().parked(until, &what);
            return Err(RunError::Parked { what, until });
        }
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
