//! Two clocks: the time of day, for records that people read, and the time since the machine was
//! booted, for deadlines that outlive a process. No one can set the second.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Seconds since 1970; 0 on a clock before that.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Milliseconds since 1970; 0 on a clock before that.
pub(crate) fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A moment that another process of this machine can measure from, as long as it is not booted
/// anew: unlike the time of day it never jumps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    /// The kernel's id of this boot.
    boot: String,
    /// Time since the boot, in milliseconds.
    uptime_ms: u64,
}

impl Moment {
    /// Now; none where the kernel does not tell (see `proc(5)`: `/proc/uptime`).
    pub(crate) fn now() -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let seconds: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        let uptime = Duration::try_from_secs_f64(seconds).ok()?;
        let uptime_ms = u64::try_from(uptime.as_millis()).ok()?;
        Some(Self { boot: boot.trim().to_owned(), uptime_ms })
    }

    /// How long ago it was; none when that was before the last boot.
    pub(crate) fn elapsed(&self) -> Option<Duration> {
        let now = Self::now().filter(|now| now.boot == self.boot)?;
        Some(Duration::from_millis(now.uptime_ms.saturating_sub(self.uptime_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_this_boot_is_measured_and_one_of_another_is_not() {
        let now = Moment::now().unwrap();
        assert!(now.elapsed().unwrap() < Duration::from_secs(60));
        let earlier = Moment { uptime_ms: 0, ..now.clone() };
        assert!(earlier.elapsed().unwrap() >= Duration::from_millis(now.uptime_ms));
        let before = Moment { boot: "another".to_owned(), ..now };
        assert_eq!(before.elapsed(), None);
    }
}
