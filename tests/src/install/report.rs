//! What became of each step.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;

/// Counts of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    steps: usize,
    failed: usize,
}

/// What a step has to show: its value, and what was measured, in words.
pub(super) struct Shown<T>(pub(super) T, pub(super) String);

impl<T> Shown<T> {
    /// With a value.
    pub(super) fn with(value: T, facts: impl Into<String>) -> Self {
        Self(value, facts.into())
    }
}

/// With nothing but words.
pub(super) fn shown(facts: impl Into<String>) -> Shown<()> {
    Shown::with((), facts)
}

impl Report {
    /// Takes a step. What is not as it has to be panics there; it is counted, and the next one can be taken.
    #[expect(clippy::print_stdout, reason = "what it tells its caller")]
    pub(super) async fn step<T>(
        &mut self,
        name: &str,
        step: impl Future<Output = Shown<T>>,
    ) -> Option<T> {
        let begun = Instant::now();
        let done = AssertUnwindSafe(step).catch_unwind().await;
        let took = begun.elapsed().as_secs_f64();
        self.steps += 1;
        match done {
            Ok(Shown(value, facts)) => {
                println!("ok     {name} ({took:.1} s): {facts}");
                Some(value)
            }
            Err(_panicked) => {
                self.failed += 1;
                println!("FAILED {name} ({took:.1} s): see above");
                None
            }
        }
    }

    /// Whether nothing was wrong.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.failed == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "steps={} failed={}", self.steps, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_that_panics_is_counted_and_the_next_one_is_taken() {
        let mut report = Report::default();
        let wrong = async { panic!("on purpose") };
        assert_eq!(report.step::<()>("wrong", wrong).await, None);
        assert_eq!(report.step("right", async { Shown::with(7, "") }).await, Some(7));
        assert_eq!(report.to_string(), "steps=2 failed=1");
        assert!(!report.is_good());
    }
}
