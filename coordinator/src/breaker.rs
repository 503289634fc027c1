//! A circuit breaker: something that fails again and again is left alone for a while, then tried
//! carefully. Pure: the time is handed in.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::config::BreakerConfig;

/// What the coordinator depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dependency {
    Engine,
    App,
    /// Containers of jobs, which an engine that answers may still refuse.
    Launch,
}

impl Dependency {
    pub(crate) const ALL: [Self; 3] = [Self::Engine, Self::App, Self::Launch];

    /// In one word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::App => "app",
            Self::Launch => "launch",
        }
    }
}

/// Whether a dependency is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BreakerState {
    /// It is.
    Closed,
    /// It is left alone.
    Open,
    /// It is tried.
    HalfOpen,
}

impl BreakerState {
    pub(crate) const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];
}

/// The breaker of one dependency.
#[derive(Debug)]
pub(crate) struct Breaker {
    config: BreakerConfig,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed { failures: u32 },
    Open { since: Instant },
    HalfOpen { successes: u32 },
}

impl Breaker {
    /// A closed one.
    pub(crate) fn new(config: &BreakerConfig) -> Self {
        Self { config: config.clone(), phase: Phase::Closed { failures: 0 } }
    }

    /// How it stands.
    pub(crate) const fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether the dependency may be tried; else how long it is still left alone.
    pub(crate) fn allows(&mut self, now: Instant) -> Result<(), Duration> {
        if let Phase::Open { since } = self.phase {
            let left = self.config.open.saturating_sub(now.saturating_duration_since(since));
            if !left.is_zero() {
                return Err(left);
            }
            self.phase = Phase::HalfOpen { successes: 0 };
        }
        Ok(())
    }

    /// It was tried and answered.
    pub(crate) fn succeeded(&mut self) {
        self.phase = match self.phase {
            Phase::HalfOpen { successes } if successes + 1 < self.config.successes.get() => {
                Phase::HalfOpen { successes: successes + 1 }
            }
            // An answer to a question that was on its way when it opened is an answer.
            Phase::Closed { .. } | Phase::HalfOpen { .. } | Phase::Open { .. } => {
                Phase::Closed { failures: 0 }
            }
        };
    }

    /// It was tried and did not answer.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.phase = match self.phase {
            Phase::Closed { failures } if failures + 1 < self.config.failures.get() => {
                Phase::Closed { failures: failures + 1 }
            }
            Phase::Open { since } => Phase::Open { since },
            Phase::Closed { .. } | Phase::HalfOpen { .. } => Phase::Open { since: now },
        };
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Engine => "the Docker Engine",
            Self::App => "the app",
            Self::Launch => "the start of containers",
        })
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn breaker(failures: u32, successes: u32) -> Breaker {
        Breaker::new(&BreakerConfig {
            failures: NonZeroU32::new(failures).unwrap(),
            open: Duration::from_secs(60),
            successes: NonZeroU32::new(successes).unwrap(),
        })
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_successes() {
        let mut breaker = breaker(3, 2);
        let begun = Instant::now();
        breaker.failed(begun);
        breaker.failed(begun);
        breaker.succeeded();
        breaker.failed(begun);
        breaker.failed(begun);
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.failed(begun);
        assert_eq!(breaker.allows(begun), Err(Duration::from_secs(60)));
        let later = begun + Duration::from_secs(60);
        assert_eq!(breaker.allows(later), Ok(()));
        breaker.succeeded();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.succeeded();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    proptest! {
        /// Whatever happens, no dependency is left alone for longer than the configured time.
        #[test]
        fn it_always_allows_a_try_when_its_time_is_up(
            events in proptest::collection::vec((any::<bool>(), 0u64..90), 0..40),
            failures in 1u32..6, successes in 1u32..4,
        ) {
            let mut breaker = breaker(failures, successes);
            let mut now = Instant::now();
            for (answered, pause) in events {
                now += Duration::from_secs(pause);
                if breaker.allows(now).is_ok() {
                    if answered { breaker.succeeded() } else { breaker.failed(now) }
                }
            }
            prop_assert!(breaker.allows(now + Duration::from_secs(60)).is_ok());
        }

        #[test]
        fn a_failure_while_it_is_tried_opens_it_at_once(failures in 1u32..6, successes in 1u32..4) {
            let mut breaker = breaker(failures, successes);
            let begun = Instant::now();
            for _ in 0..failures {
                breaker.failed(begun);
            }
            let later = begun + Duration::from_secs(60);
            prop_assert!(breaker.allows(later).is_ok());
            breaker.failed(later);
            prop_assert_eq!(breaker.state(), BreakerState::Open);
        }
    }
}
