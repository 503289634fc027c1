//! The page of a replay, for people.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use api_client::outcome::OutcomeDocument;
use serde::Serialize;
use serde_json::Value;

use super::Turn;
use super::archive::Bundle;
use super::compare::Comparison;
use crate::bounded::bounded;

/// Longest text of a bundle that is printed in one line, in bytes.
const TEXT_MAX: usize = 500;

/// Most names of events that were not understood, for each turn.
const NAMES_MAX: usize = 10;

/// The whole page.
pub(super) fn text(
    bundle: &Bundle,
    turns: &[Turn],
    run: Option<&OutcomeDocument>,
    comparison: &Comparison,
) -> String {
    let mut text = head(bundle);
    for (at, turn) in turns.iter().enumerate() {
        text.push_str(&of_turn(at + 1, turn));
    }
    if let Some(run) = run {
        let verdict = format!("{} (cause {})", word(&run.verdict), word(&run.cause));
        line(&mut text, "verdict", &verdict);
        let went_on = turns.last().is_some_and(|turn| turn.replayed.report.ending.is_finished());
        if went_on {
            let after = "the last turn ended well: verdict and cause are those on record, as what \
                         followed (check, push, pull request) is not replayed";
            line(&mut text, "", after);
        }
    }
    let said = match comparison {
        Comparison::Same => "same as on record".to_owned(),
        Comparison::Nothing(why) => format!("nothing to compare: {why}"),
        Comparison::Differs(differences) => {
            format!("differs from the record:\n  {}", differences.join("\n  "))
        }
    };
    text.push_str(&said);
    text.push('\n');
    text
}

fn head(bundle: &Bundle) -> String {
    let manifest = &bundle.manifest;
    let mut text = String::new();
    line(&mut text, "job", &plain(&manifest.job));
    let unknown = "unknown".to_owned();
    let runner = manifest.runner_version.as_ref().map_or(unknown, |version| plain(version));
    let made = format!(
        "coordinator {}, agent-runner {runner}; replayed by agent-runner {}",
        plain(&manifest.coordinator_version),
        env!("CARGO_PKG_VERSION")
    );
    line(&mut text, "made by", &made);
    if let Some(worker) = &manifest.worker {
        let version = worker.version.as_deref().unwrap_or("of unknown version");
        let model = worker.model.as_deref().unwrap_or("its default");
        let worker = format!("{} {version}, model {model}", worker.cli);
        line(&mut text, "worker", &plain(&worker));
    }
    for name in &bundle.changed {
        let changed = format!("{name} is not as it was when the bundle was made");
        line(&mut text, "changed", &changed);
    }
    for left_out in &manifest.left_out {
        let left_out = format!("{}: {}", left_out.name, left_out.why);
        line(&mut text, "left out", &plain(&left_out));
    }
    text
}

fn of_turn(number: usize, turn: &Turn) -> String {
    let (recorded, replayed) = (&turn.recorded, &turn.replayed);
    let mut text = format!(
        "turn {number}: {}, {} lines{}\n",
        plain(&recorded.begun.cli),
        recorded.lines.len(),
        match recorded.left_out {
            0 => String::new(),
            lines => format!(" ({lines} left out for want of room)"),
        }
    );
    line(&mut text, "events", &counts(&replayed.events, usize::MAX));
    if !replayed.unknown.is_empty() {
        line(&mut text, "unknown", &counts(&replayed.unknown, NAMES_MAX));
    }
    let report = &replayed.report;
    line(&mut text, "the CLI", &report.usage.to_string());
    line(&mut text, "gateway", &report.calls.to_string());
    if let Some(at) = replayed.given_up_at {
        line(&mut text, "note", &format!("the CLI would be given up at its line {at}"));
    }
    let ending = match &recorded.ended {
        Some(_) => plain(&report.ending.to_string()),
        None => "not on record: the run was ended in the middle of the turn".to_owned(),
    };
    line(&mut text, "ending", &ending);
    text
}

fn counts<K: Display>(counts: &BTreeMap<K, u64>, most: usize) -> String {
    let shown = counts.iter().take(most).map(|(name, count)| format!("{name} {count}"));
    let mut shown: Vec<_> = shown.collect();
    if counts.len() > most {
        shown.push("…".to_owned());
    }
    if shown.is_empty() { "none".to_owned() } else { plain(&shown.join(", ")) }
}

fn line(text: &mut String, name: &str, value: &str) {
    let _infallible = writeln!(text, "  {name:9} {value}");
}

/// A text of a bundle on one line, without what a terminal would obey or what turns the direction of writing.
pub(super) fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !turns(*c))
        .collect();
    bounded(&text, TEXT_MAX).replace('\n', " ")
}

/// What JSON has for a value that is one word.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
