//! Waiting for a condition. Nothing in the tests waits in any other way.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take on a loaded machine of two cores.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// Between two looks.
const STEP: Duration = Duration::from_millis(15);

/// Looks until there is a value to return, and panics naming `what` after [`DEADLINE`].
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(DEADLINE, what, look).await
}

/// As [`eventually`], within a limit of its own.
pub async fn within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(begun.elapsed() < limit, "waited {} s in vain for {what}", limit.as_secs());
        sleep(STEP).await;
    }
}
