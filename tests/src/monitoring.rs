//! The alert rules under a real Prometheus that asks a real coordinator: each is made to fire by the
//! condition that it is for, and to be over when that is.
//!
//! Times and numbers of the rules are shortened for it ([`scaled`]); that the rules as they are wait as
//! long as they say is shown by `promtool test rules`.

mod dashboard;
mod picture;
mod prometheus;
mod scenes;

pub use dashboard::{Dashboard, Span};
pub use picture::Picture;
pub use prometheus::{PROMETHEUS_IMAGE, Prometheus, Wanted, promtool};
pub use scenes::{Stage, Tried};

/// The rules with times of seconds in place of minutes and hours, and small numbers.
#[must_use]
pub fn scaled(rules: &str) -> String {
    let line = |line: &str| match line.split_once("for: ") {
        Some((begin, _)) if begin.trim().is_empty() => format!("{begin}for: 1s"),
        _ => ["[5m]", "[15m]"]
            .iter()
            .fold(line.to_owned(), |line, window| line.replace(window, "[20s]")),
    };
    let text: String = rules.lines().map(|text| line(text) + "\n").collect();
    [("> 3600", "> 3"), ("> 900", "> 3"), ("> 300", "> 3"), ("> 100", "> 3")]
        .iter()
        .fold(text, |text, (long, short)| text.replace(long, short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortened_rules_differ_in_nothing_but_times_and_numbers() {
        let rules = include_str!("../../packaging/monitoring/terarchitect.rules.yml");
        let scaled = scaled(rules);
        let changed: Vec<_> =
            rules.lines().zip(scaled.lines()).filter(|(before, after)| before != after).collect();
        assert!(changed.len() > 10);
        // Without the letters that stand for a unit of time.
        let words = |line: &str| -> Vec<String> {
            let all = line.split(|c: char| !c.is_ascii_alphabetic());
            all.filter(|word| word.len() > 1).map(str::to_owned).collect()
        };
        for (before, after) in changed {
            assert_eq!(words(before), words(after));
        }
        assert!(["5m", "3600", "> 900"].iter().all(|long| !scaled.contains(long)), "{scaled}");
    }
}
