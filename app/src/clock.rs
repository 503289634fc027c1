//! Points in time. The database keeps them as milliseconds, the API shows them as RFC 3339 in UTC.
//! Only the routes and the tasks beside them ask for the current time; all below takes it as an
//! argument.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api_client::UtcTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(i64);

impl From<UtcTime> for Timestamp {
    fn from(time: UtcTime) -> Self {
        Self(i64::try_from(time.seconds()).unwrap_or(i64::MAX).saturating_mul(1_000))
    }
}

/// The text is not of the form `2026-01-31T12:00:00.000Z`.
#[derive(Debug, thiserror::Error)]
#[error("a time must look like 2026-01-31T12:00:00.000Z, got {0:?}")]
pub(crate) struct InvalidTime(String);

impl Timestamp {
    /// What the system clock shows.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }

    pub(crate) const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub(crate) const fn millis(self) -> i64 {
        self.0
    }

    /// A time as forges write it: RFC 3339 with or without fractions of a second, in any zone.
    pub(crate) fn from_rfc3339(text: &str) -> Option<Self> {
        let (clock, zone) = match text.strip_suffix(['Z', 'z']) {
            Some(clock) => (clock, 0),
            None => text.split_at_checked(text.len().checked_sub(6)?).and_then(with_zone)?,
        };
        let (seconds, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let millis: String = fraction.chars().chain("00".chars()).take(3).collect();
        let utc: Self = format!("{}.{millis}Z", seconds.replace(' ', "T")).parse().ok()?;
        Some(Self(utc.0 - zone))
    }

    /// So much later.
    pub(crate) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
    }

    /// So many milliseconds later.
    pub(crate) const fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// When the day of this time began, in UTC.
    pub(crate) const fn day(self) -> Self {
        Self(self.0 - self.0.rem_euclid(DAY_MS))
    }

    /// When the day after that of this time begins, in UTC.
    pub(crate) const fn next_day(self) -> Self {
        self.day().plus(DAY_MS)
    }

    /// The same in whole seconds, rounded up.
    pub(crate) fn utc(self) -> UtcTime {
        UtcTime::from_seconds(u64::try_from(self.0.max(0)).unwrap_or(0).div_ceil(1_000))
    }

    /// How long it is from here until then; nothing where that is past.
    pub(crate) fn until(self, then: Self) -> Duration {
        Duration::from_millis(u64::try_from(then.0.saturating_sub(self.0)).unwrap_or_default())
    }
}

/// What comes before a zone such as `+02:00`, and the zone in milliseconds.
fn with_zone<'a>((clock, zone): (&'a str, &str)) -> Option<(&'a str, i64)> {
    let (sign, zone) = match zone.split_at_checked(1)? {
        ("+", zone) => (1, zone),
        ("-", zone) => (-1, zone),
        _ => return None,
    };
    let (hours, minutes) = zone.split_once(':')?;
    let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
    Some((clock, sign * minutes * 60_000))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.0.div_euclid(DAY_MS));
        let ms = self.0.rem_euclid(DAY_MS);
        let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
        let (second, milli) = (ms / 1_000 % 60, ms % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let number = |from: usize, to: usize| -> Option<i64> { text.get(from..to)?.parse().ok() };
        let parse = || {
            let days = days_until(number(0, 4)?, number(5, 7)?, number(8, 10)?);
            let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
            let ms = ((hour * 60 + minute) * 60 + second) * 1_000 + number(20, 23)?;
            Some(Self(days * DAY_MS + ms))
        };
        parse()
            .filter(|time: &Self| time.to_string() == text)
            .ok_or_else(|| InvalidTime(text.chars().take(40).collect()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

// Both conversions count in years that begin on 1 March, so that the leap day comes last, and in
// eras of 400 years (146,097 days), after which the Gregorian calendar repeats.

fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

fn days_until(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_rfc_3339_in_utc() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_785_542_399_999, "2026-07-31T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap().millis(), millis);
        }
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for day in 0..146_097 {
            let (year, month, date) = date_of(day);
            assert_eq!(days_until(year, month, date), day);
        }
    }

    #[test]
    fn times_of_forges_are_read_in_any_zone_and_precision() {
        for text in [
            "2026-07-31T21:59:59Z",
            "2026-07-31T21:59:59.0004Z",
            "2026-07-31T23:59:59+02:00",
            "2026-07-31T16:29:59.000-05:30",
        ] {
            let time = Timestamp::from_rfc3339(text).unwrap();
            assert_eq!(time.to_string(), "2026-07-31T21:59:59.000Z", "{text}");
        }
        let fine = Timestamp::from_rfc3339("2026-07-31T21:59:59.12Z").unwrap();
        assert_eq!(fine.to_string(), "2026-07-31T21:59:59.120Z");
        for text in ["", "Z", "é+02:00", "2026-07-31", "2026-02-30T00:00:00Z"] {
            assert!(Timestamp::from_rfc3339(text).is_none(), "{text}");
        }
    }

    #[test]
    fn other_forms_of_a_time_are_refused() {
        for text in ["", "2026-07-31", "2026-02-30T00:00:00.000Z", "2026-07-31T23:59:59.999+02"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
