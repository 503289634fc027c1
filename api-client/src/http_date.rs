//! Times as HTTP writes them.

/// Seconds since 1970 of a time as HTTP writes it: `Sat, 21 Nov 2026 10:00:00 GMT`.
#[must_use]
pub fn seconds_of_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let number = |text: &str| text.parse::<u64>().ok();
    let (_weekday, rest) = text.trim().split_once(", ")?;
    let [day, month, year, clock, "GMT"] = rest.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let [hour, minute, second] = clock.split(':').collect::<Vec<_>>()[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year) = (number(day)?, number(year)?);
    let seconds = number(hour)? * 3600 + number(minute)? * 60 + number(second)?;
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) || seconds > 90_000 {
        return None;
    }
    // The year begins in March here, so that the day that comes and goes is its last.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1;
    // 1 March of the year 0 was 719,468 days before 1970.
    Some(days.checked_sub(719_468)? * 86_400 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_http_are_read() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Sat, 21 Nov 2026 10:00:00 GMT", 1_795_255_200),
        ] {
            assert_eq!(seconds_of_date(text), Some(seconds), "{text}");
        }
        for wrong in ["", "yesterday", "Sat, 21 Foo 2026 10:00:00 GMT", "Sat, 21 Nov 2026 10 GMT"] {
            assert_eq!(seconds_of_date(wrong), None, "{wrong}");
        }
    }
}
