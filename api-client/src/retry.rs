//! Repeating calls that may succeed later.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};

use crate::ApiError;

/// Longest pause that the app can ask for: a garbled header must not mean "never".
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Delays of 1 s, 2 s, 4 s … at most 60 s, with jitter, `tries` calls in all.
#[must_use]
pub fn delays(tries: usize) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_secs(1))
        .with_max_delay(Duration::from_secs(60))
        .with_max_times(tries.saturating_sub(1))
        .with_jitter()
}

/// Calls until it succeeds, fails for good, or was tried `tries` times. A 404 without the app's words, as
/// a proxy has it while the app is away, is tried again as well. A `Retry-After` of the app
/// replaces a shorter delay of ours.
///
/// # Errors
/// The last error of the call.
pub async fn retry<T, F, Fut>(tries: usize, call: F) -> Result<T, ApiError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ApiError>>,
{
    call.retry(delays(tries).build())
        .when(|error| error.is_transient() || error.is_wordless_not_found())
        .adjust(|error, delay| {
            let asked = error.retry_after().map(|asked| asked.min(LONGEST_RETRY_AFTER));
            delay.map(|delay| asked.map_or(delay, |asked| delay.max(asked)))
        })
        .await
}
