//! Whether this host's clock agrees with those of others. Pure.

use super::finding::Finding;

/// From here on it is said: tokens of a GitHub App are refused, and logs do not fit together.
const NOTED: u64 = 60;

/// From here on certificates and tokens are refused.
const WRONG: u64 = 300;

/// A clock beside ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// `the app's`.
    whose: &'static str,
    /// By how many seconds it is ahead of ours.
    ahead: i64,
}

impl Reading {
    /// What a clock said when ours said `ours`, both in seconds since 1970.
    pub(super) fn new(whose: &'static str, theirs: u64, ours: u64) -> Self {
        let ahead = if theirs >= ours {
            i64::try_from(theirs - ours).unwrap_or(i64::MAX)
        } else {
            i64::try_from(ours - theirs).map_or(i64::MIN, |behind| -behind)
        };
        Self { whose, ahead }
    }

    fn off(&self) -> u64 {
        self.ahead.unsigned_abs()
    }
}

/// One line for all of them; nothing where none was read.
pub(super) fn judge(readings: &[Reading]) -> Option<Finding> {
    let worst = readings.iter().max_by_key(|reading| reading.off())?;
    let what = "clock";
    if worst.off() < NOTED {
        let whose: Vec<_> = readings.iter().map(|reading| reading.whose).collect();
        let found = format!("within {} s of {}", worst.off() + 1, whose.join(", "));
        return Some(Finding::ok(what, found));
    }
    let way = if worst.ahead > 0 { "behind" } else { "ahead of" };
    let found = format!("{} s {way} {}", worst.off(), worst.whose);
    let cure = "set it: timedatectl set-ntp true, or mend the other one";
    Some(if worst.off() < WRONG {
        Finding::note(what, found, cure)
    } else {
        Finding::failed(what, found, cure)
    })
}

/// Seconds since 1970 of a time such as `2026-11-21T10:00:00.5+01:00`.
pub(crate) fn seconds_of(time: &str) -> Option<u64> {
    if time.ends_with('Z') {
        return crate::github_app::seconds_of(time);
    }
    let (local, zone) = time.split_at_checked(time.len().checked_sub(6)?)?;
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let offset = hours.parse::<u64>().ok()? * 3600 + minutes.parse::<u64>().ok()? * 60;
    let local = crate::github_app::seconds_of(&format!("{local}Z"))?;
    match zone.as_bytes().first()? {
        b'+' => local.checked_sub(offset),
        b'-' => local.checked_add(offset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn judged(theirs: u64) -> Finding {
        judge(&[
            Reading::new("the engine's", 10_000, 10_000),
            Reading::new("the app's", theirs, 10_000),
        ])
        .unwrap()
    }

    #[test]
    fn the_farthest_clock_counts_and_is_named() {
        assert_eq!(judged(10_030).state, State::Ok);
        assert_eq!(judged(9_900).state, State::Note);
        let wrong = judged(10_600);
        assert_eq!(wrong.state, State::Failed);
        assert_eq!(wrong.found, "600 s behind the app's");
        assert_eq!(judged(9_400).found, "600 s ahead of the app's");
        assert_eq!(judge(&[]), None);
    }

    #[test]
    fn an_engine_s_time_is_read_in_any_zone() {
        for time in [
            "2026-11-21T10:00:00.123456789Z",
            "2026-11-21T11:30:00.1+01:30",
            "2026-11-21T05:00:00-05:00",
        ] {
            assert_eq!(seconds_of(time), Some(1_795_255_200), "{time}");
        }
        assert_eq!(seconds_of("soon"), None);
    }
}
