//! Leaves a model alone that gave no answer, while another one stands in.

use std::time::{Duration, Instant};

/// How long a model is left alone after it gave no answer, however often it was asked.
const PAUSE: Duration = Duration::from_secs(120);

/// Whether a model is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Breaker {
    /// As often as it takes.
    #[default]
    Closed,
    /// Not before then, and then once.
    Open {
        /// When it is tried again.
        until: Instant,
    },
}

impl Breaker {
    /// How often the model may be asked now, where `tries` is usual; none while it is left alone.
    pub(super) fn tries(self, tries: usize, now: Instant) -> Option<usize> {
        match self {
            Self::Closed => Some(tries),
            Self::Open { until } if now >= until => Some(1),
            Self::Open { .. } => None,
        }
    }

    /// Notes that it gave no answer, and how long it wants to be left alone where it said so.
    pub(super) fn failed(&mut self, now: Instant, wish: Option<Duration>) {
        // A time that no clock can show is none.
        let until = wish.and_then(|wish| now.checked_add(wish)).unwrap_or(now + PAUSE);
        *self = Self::Open { until };
    }

    /// Notes that it answered.
    pub(super) fn answered(&mut self) {
        *self = Self::Closed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_failed_is_left_alone_then_tried_once_and_then_as_usual() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert_eq!(breaker.tries(5, now), Some(5));
        breaker.failed(now, None);
        assert_eq!(breaker.tries(5, now + PAUSE / 2), None);
        assert_eq!(breaker.tries(5, now + PAUSE), Some(1));
        breaker.failed(now + PAUSE, None);
        assert_eq!(breaker.tries(5, now + PAUSE), None);
        breaker.answered();
        assert_eq!(breaker.tries(5, now + PAUSE), Some(5));
        breaker.failed(now, Some(PAUSE * 9));
        assert_eq!(breaker.tries(5, now + PAUSE * 8), None, "it named a time of its own");
        assert_eq!(breaker.tries(5, now + PAUSE * 9), Some(1));
        breaker.failed(now, Some(Duration::MAX));
        assert_eq!(breaker.tries(5, now + PAUSE), Some(1));
    }
}
