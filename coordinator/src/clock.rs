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

/// An instant in UTC, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Utc {
    /// `2026-11-20`.
    pub(crate) date: String,
    /// `14:03:01`.
    pub(crate) time: String,
}

/// The last second of the year 9999.
const END_OF_DATES: u64 = 253_402_300_799;

/// The date and time of day of an instant, in milliseconds since 1970.
pub(crate) fn utc(millis: u64) -> Utc {
    let seconds = (millis / 1_000).min(END_OF_DATES);
    let (mut days, of_day) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    Utc {
        date: format!("{year}-{month:02}-{:02}", days + 1),
        time: format!("{hour:02}:{minute:02}:{second:02}"),
    }
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
    fn an_instant_has_the_date_that_people_know() {
        let shown = |seconds: u64| {
            let Utc { date, time } = utc(seconds * 1_000);
            format!("{date} {time}")
        };
        assert_eq!(shown(0), "1970-01-01 00:00:00");
        assert_eq!(shown(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(shown(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(shown(1_735_689_599), "2024-12-31 23:59:59");
        assert_eq!(shown(1_795_290_702), "2026-11-21 19:51:42");
    }

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
