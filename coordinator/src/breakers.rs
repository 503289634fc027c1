//! The circuit breakers of what the coordinator depends on, as they stand.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::board::Board;
use crate::breaker::{Breaker, Dependency};
use crate::config::BreakerConfig;
use crate::readiness::NotReady;

/// One breaker for each dependency.
#[derive(Debug)]
pub(crate) struct Breakers {
    engine: Mutex<Breaker>,
    app: Mutex<Breaker>,
}

impl Breakers {
    /// All closed.
    pub(crate) fn new(config: &BreakerConfig) -> Self {
        let breaker = || Mutex::new(Breaker::new(config));
        Self { engine: breaker(), app: breaker() }
    }

    /// Whether a dependency may be tried now.
    pub(crate) fn allow(&self, dependency: Dependency) -> Result<(), NotReady> {
        let allowed = self.of(dependency).allows(Instant::now());
        allowed.map_err(|_left| NotReady::Breaker { dependency })
    }

    /// Notes how a try went.
    pub(crate) fn note(&self, dependency: Dependency, board: &Board, answered: bool) {
        let mut breaker = self.of(dependency);
        let before = breaker.state();
        if answered {
            breaker.succeeded();
        } else {
            breaker.failed(Instant::now());
        }
        let after = breaker.state();
        if before != after {
            tracing::info!("circuit breaker of {dependency}: {after}");
            board.breaker(dependency, after);
        }
    }

    fn of(&self, dependency: Dependency) -> MutexGuard<'_, Breaker> {
        let breaker = match dependency {
            Dependency::Engine => &self.engine,
            Dependency::App => &self.app,
        };
        breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
