//! The review loop: looks at the pull requests of tickets that are in review, starts a review job where
//! there is something to react to, and moves tickets that are merged or approved.
//!
//! Invariants: what becomes of a look is decided by a pure function ([`decision`]) inside the
//! transaction that carries it out, so there are never two jobs for one pull request; a forge is asked
//! in one place ([`poller`]), by one task.

pub(crate) mod decision;
pub(crate) mod poller;
mod schedule;
pub(crate) mod webhook;

use std::time::Duration;

use api_client::TicketId;
use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::forge::Pull;

/// Longest time that can be given, in seconds: a day.
const SECONDS_MAX: f64 = 86_400.0;
const ATTEMPTS_MAX: u32 = 100;
/// The longest pause between two jobs for the same comments.
const BACKOFF_MAX: Duration = Duration::from_secs(3_600);
/// The shortest time between two looks at a pull request.
const POLL_MIN: Duration = Duration::from_millis(50);
/// The time between two looks where they are only to see what no event told of.
const POLL_SELDOM: Duration = Duration::from_secs(3_600);
/// Events that wait to be acted upon; what has no room is seen at the next poll.
const NUDGES_MAX: usize = 256;

/// When the review loop looks, and when it starts jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReviewTerms {
    /// How often each pull request is looked at, also where nothing is known to have happened.
    pub(crate) poll: Duration,
    /// How long after the newest comment a job is started, so that one job gets all of a review.
    pub(crate) debounce: Duration,
    /// How many jobs are started for the same comments.
    pub(crate) max_attempts: u32,
    /// How many jobs one pull request has in 24 hours.
    pub(crate) max_per_day: u32,
    /// The pause after the first job that failed; it doubles with each.
    pub(crate) backoff: Duration,
}

impl ReviewTerms {
    /// The pause after this many failures, which are more than none.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(doubled).min(BACKOFF_MAX.max(self.backoff))
    }
}

impl Default for ReviewTerms {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(60),
            debounce: Duration::from_secs(30),
            max_attempts: 3,
            max_per_day: 20,
            backoff: Duration::from_secs(300),
        }
    }
}

/// How often to look, of a length that may be none at all: then events say when to.
pub(crate) fn poll(given: Duration) -> Duration {
    if given.is_zero() { POLL_SELDOM } else { given.max(POLL_MIN) }
}

/// Reads a length of time: seconds, which may have decimals.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse().ok().filter(|s| (0.0..=SECONDS_MAX).contains(s));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("must be 0 to {SECONDS_MAX} seconds"))
}

/// Reads how many jobs are started for the same comments.
pub(crate) fn attempts(text: &str) -> Result<u32, String> {
    let count = text.trim().parse().ok().filter(|count| (1..=ATTEMPTS_MAX).contains(count));
    count.ok_or_else(|| format!("must be a whole number from 1 to {ATTEMPTS_MAX}"))
}

/// One look at a pull request.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) pull: Pull,
    /// By our own clock, as those of jobs.
    pub(crate) begun: Timestamp,
    pub(crate) ended: Timestamp,
}

/// Tells the review loop to look at a ticket's pull request now; clones tell the same one.
#[derive(Clone, Debug)]
pub(crate) struct Nudge(mpsc::Sender<TicketId>);

impl Nudge {
    /// With the end at which the loop listens.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<TicketId>) {
        let (sender, receiver) = mpsc::channel(NUDGES_MAX);
        (Self(sender), receiver)
    }

    /// Does nothing for a ticket that is not in review.
    pub(crate) fn look_at(&self, ticket: TicketId) {
        if self.0.try_send(ticket).is_err() {
            tracing::debug!(ticket.id = %ticket, "too much happens: it is seen at the next poll");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_an_hour() {
        let pauses = [1, 2, 3, 7, 40].map(|n| ReviewTerms::default().pause(n).as_secs());
        assert_eq!(pauses, [300, 600, 1_200, 3_600, 3_600]);
        let slow = ReviewTerms { backoff: Duration::from_secs(7_200), ..ReviewTerms::default() };
        assert_eq!(slow.pause(1).as_secs(), 7_200, "a longer first pause is kept");
    }

    #[test]
    fn times_and_counts_out_of_range_are_refused() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert!(seconds("-1").is_err() && seconds("NaN").is_err() && seconds("86401").is_err());
        assert_eq!(poll(Duration::ZERO), POLL_SELDOM, "events may be missed");
        assert_eq!(poll(Duration::from_micros(1)), POLL_MIN);
        assert_eq!(attempts("3"), Ok(3));
        assert!(attempts("0").is_err() && attempts("101").is_err());
    }
}
