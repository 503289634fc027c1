//! Points in time as RFC 3339 writes them, in UTC and whole seconds: `2026-01-31T12:00:00Z`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds of a day.
const DAY: u64 = 86_400;

/// The last second that four digits of a year can show.
const LAST: u64 = 253_402_300_799;

/// A second since 1970-01-01 UTC, up to the end of the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UtcTime(u64);

/// The text is not of the form `2026-01-31T12:00:00Z`.
#[derive(Debug, thiserror::Error)]
#[error("a time must look like 2026-01-31T12:00:00Z, got {0:?}")]
pub struct InvalidTime(String);

impl UtcTime {
    /// This many seconds after 1970 began.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(if seconds > LAST { LAST } else { seconds })
    }

    /// Seconds since 1970 began.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// What the system clock shows, so much later. A part of a second is rounded up: who waits until then has
    /// waited long enough.
    #[must_use]
    pub fn after(wait: Duration) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let then = now.saturating_add(wait);
        Self::from_seconds(then.as_secs().saturating_add(u64::from(then.subsec_nanos() > 0)))
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / DAY, self.0 % DAY);
        // The year begins in March here, so that the day that comes and goes is its last; an era of 400 years
        // has 146,097 days, and 1 March of the year 0 was 719,468 days before 1970.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let leaps = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
        let year_of_era = (day_of_era - leaps) / 365;
        let day = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day + 2) / 153;
        let date = day - (153 * month + 2) / 5 + 1;
        let (year, month) =
            (year_of_era + era * 400, if month < 10 { month + 3 } else { month - 9 });
        let year = year + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl FromStr for UtcTime {
    type Err = InvalidTime;

    /// Reads the form that is written, also with a fraction of a second, which is left out.
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let number = |from: usize, to: usize| -> Option<u64> { text.get(from..to)?.parse().ok() };
        let parse = || {
            let (year, month, date) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
            let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
            let (year, month) =
                if month < 3 { (year.checked_sub(1)?, month + 9) } else { (year, month - 3) };
            let leap_days = year / 4 - year / 100 + year / 400;
            let days = year * 365 + leap_days + (month * 153 + 2) / 5 + date.checked_sub(1)?;
            let days = days.checked_sub(719_468)?;
            Some(Self::from_seconds(days * DAY + (hour * 60 + minute) * 60 + second))
        };
        let whole = |time: &Self| {
            let rest = text.get(19..).and_then(|rest| rest.strip_suffix('Z'));
            let is_fraction = |rest: &str| {
                let digits = rest.strip_prefix('.').unwrap_or("x");
                rest.is_empty() || (digits.len() <= 9 && digits.bytes().all(|b| b.is_ascii_digit()))
            };
            rest.is_some_and(is_fraction) && time.to_string().get(..19) == text.get(..19)
        };
        let time = parse().filter(whole);
        time.ok_or_else(|| InvalidTime(text.chars().take(40).collect()))
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UtcTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_795_255_200, "2026-11-21T10:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(UtcTime::from_seconds(seconds).to_string(), text);
            assert_eq!(text.parse::<UtcTime>().unwrap().seconds(), seconds);
        }
        let millis: UtcTime = "2026-11-21T10:00:00.250Z".parse().unwrap();
        assert_eq!(millis.seconds(), 1_795_255_200);
    }

    #[test]
    fn other_forms_of_a_time_are_refused() {
        for text in [
            "",
            "2026-07-31",
            "2026-02-30T00:00:00Z",
            "2026-07-31T24:00:00Z",
            "2026-07-31T23:59:59",
            "2026-07-31T23:59:59+02:00",
            "2026-07-31T23:59:59.Zx",
            "0000-01-01T00:00:00Z",
        ] {
            assert!(text.parse::<UtcTime>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_second_reads_back_as_it_was_written(seconds in 0..=LAST) {
            let time = UtcTime::from_seconds(seconds);
            prop_assert_eq!(time.to_string().parse::<UtcTime>().unwrap(), time);
        }

        #[test]
        fn no_text_breaks_it(text in any::<String>()) {
            let _either = text.parse::<UtcTime>();
        }
    }
}
