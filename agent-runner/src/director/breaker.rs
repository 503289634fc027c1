//! Leaves a model alone that gave no answer, while another one stands in.

use std::time::{Duration, Instant};

/// How long a model is left alone after it gave no answer, however often it was asked.
const PAUSE: Duration = Duration::from_secs(120);

/// Whether a model is asked, and what it said of its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Breaker {
    /// Not before then, and then once; where there is no such time, as often as it takes.
    open_until: Option<Instant>,
    /// When its limit is over.
    reset: Option<Instant>,
}

impl Breaker {
    /// How often the model may be asked now, where `tries` is usual; none while it is left alone.
    pub(super) fn tries(self, tries: usize, now: Instant) -> Option<usize> {
        match self.open_until {
            None => Some(tries),
            Some(until) if now >= until => Some(1),
            Some(_) => None,
        }
    }

    /// When its limit is over, as it said itself; a failure without a word about that changes nothing.
    pub(super) const fn reset(self) -> Option<Instant> {
        self.reset
    }

    /// Notes that there is a question: a limit that is over by now is none.
    pub(super) fn question_begins(&mut self, now: Instant) {
        self.reset = self.reset.filter(|reset| *reset > now);
    }

    /// Notes that it wants to be left alone for so long.
    pub(super) fn limited(&mut self, now: Instant, wish: Duration) {
        // A time that no clock can show is none.
        self.reset = now.checked_add(wish);
    }

    /// Notes that it gave no answer.
    pub(super) fn failed(&mut self, now: Instant) {
        self.open_until = self.reset.filter(|reset| *reset > now).or(Some(now + PAUSE));
    }

    /// Notes that it answered.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_failed_is_left_alone_then_tried_once_and_then_as_usual() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert_eq!(breaker.tries(5, now), Some(5));
        breaker.failed(now);
        assert_eq!(breaker.tries(5, now + PAUSE / 2), None);
        assert_eq!(breaker.tries(5, now + PAUSE), Some(1));
        breaker.failed(now + PAUSE);
        assert_eq!(breaker.tries(5, now + PAUSE), None);
        breaker.answered();
        assert_eq!(breaker.tries(5, now + PAUSE), Some(5));
    }

    #[test]
    fn a_limit_is_known_until_it_is_over_or_the_model_answers() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        breaker.limited(now, PAUSE * 9);
        breaker.failed(now);
        assert_eq!(breaker.tries(5, now + PAUSE * 8), None, "it named a time of its own");
        assert_eq!(breaker.tries(5, now + PAUSE * 9), Some(1));
        breaker.question_begins(now + PAUSE);
        breaker.failed(now + PAUSE);
        assert_eq!(breaker.reset(), Some(now + PAUSE * 9));
        assert_eq!(breaker.tries(5, now + PAUSE * 8), None);
        breaker.question_begins(now + PAUSE * 9);
        assert_eq!(breaker.reset(), None);
        breaker.limited(now, PAUSE);
        breaker.answered();
        assert_eq!(breaker, Breaker::default());
        breaker.limited(now, Duration::MAX);
        breaker.failed(now);
        assert_eq!((breaker.reset(), breaker.tries(5, now + PAUSE)), (None, Some(1)));
    }
}
