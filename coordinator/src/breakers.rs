//! The circuit breakers of what the coordinator depends on, as they stand.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::board::Board;
use crate::breaker::{Breaker, BreakerState, Dependency};
use crate::config::BreakerConfig;
use crate::readiness::NotReady;

/// One breaker for each dependency.
#[derive(Debug)]
pub(crate) struct Breakers {
    engine: Mutex<Told>,
    app: Mutex<Told>,
    launch: Mutex<Told>,
}

/// A breaker, and the state of it that people were told last: it becomes half-open by the time that
/// passes, which nobody notices until the next try.
#[derive(Debug)]
struct Told {
    breaker: Breaker,
    state: BreakerState,
}

impl Breakers {
    /// All closed.
    pub(crate) fn new(config: &BreakerConfig) -> Self {
        let closed = || {
            let breaker = Breaker::new(config);
            Mutex::new(Told { state: breaker.state(), breaker })
        };
        Self { engine: closed(), app: closed(), launch: closed() }
    }

    /// Whether a dependency may be tried now.
    pub(crate) fn allow(&self, dependency: Dependency) -> Result<(), NotReady> {
        let allowed = self.of(dependency).breaker.allows(Instant::now());
        allowed.map_err(|_left| NotReady::Breaker { dependency })
    }

    /// Notes how a try went.
    pub(crate) fn note(&self, dependency: Dependency, board: &Board, answered: bool) {
        let mut told = self.of(dependency);
        if answered {
            told.breaker.succeeded();
        } else {
            told.breaker.failed(Instant::now());
        }
        let state = told.breaker.state();
        if told.state != state {
            told.state = state;
            tracing::info!("circuit breaker of {dependency}: {state}");
            board.breaker(dependency, state);
        }
    }

    fn of(&self, dependency: Dependency) -> MutexGuard<'_, Told> {
        let breaker = match dependency {
            Dependency::Engine => &self.engine,
            Dependency::App => &self.app,
            Dependency::Launch => &self.launch,
        };
        breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    #[test]
    fn status_shows_every_state_that_a_dependency_goes_through() {
        let board = Board::default();
        let shown = || board.snapshot().breakers["engine"].clone();
        let breakers = Breakers::new(&BreakerConfig {
            failures: NonZeroU32::MIN,
            open: Duration::ZERO,
            successes: NonZeroU32::MIN.saturating_add(1),
        });
        assert_eq!(shown(), "closed");
        for (answered, state) in [(false, "open"), (true, "half-open"), (true, "closed")] {
            breakers.allow(Dependency::Engine).unwrap();
            breakers.note(Dependency::Engine, &board, answered);
            assert_eq!(shown(), state);
        }
        assert_eq!(board.snapshot().breakers["app"], "closed");
    }
}
