//! The time of day, for records. Durations are measured with `Instant`, which no one can set.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970; 0 on a clock before that.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
