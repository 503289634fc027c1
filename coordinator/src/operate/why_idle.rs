//! Why nothing is claimed, or that nothing keeps it from being claimed. From what the coordinator says; pure.

use std::fmt::Write;

use serde::Serialize;

use crate::board::{Answer, AskedView, Queue, StatusView};
use crate::idle::Condition;
use crate::paper::{Paper, seconds, wrapped};

/// Version of [`Idle`].
const VERSION: u32 = 1;

/// The answer.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Idle<'a> {
    version: u32,
    /// What holds claims back; nothing, where nothing does.
    condition: Option<Condition>,
    /// The same for people.
    why: String,
    /// For how long, in seconds, where that is known.
    age: Option<u64>,
    mended_by: Option<&'static str>,
    /// When the app was last asked, and what it had.
    asked: Option<&'a AskedView>,
    slots_used: usize,
    slots: usize,
}

/// What holds claims back: the operator's wish first, then what was found wrong, then full slots.
pub(crate) fn why_idle(status: &StatusView) -> Idle<'_> {
    let gate = match status.gate.as_str() {
        "paused" => Some((Condition::Paused, "the operator has paused it")),
        "draining" => Some((Condition::Draining, "the operator has it finish and end")),
        _ => None,
    };
    let held = status.held.as_ref();
    let (condition, why, age) = match (gate, held) {
        (Some((condition, why)), held) => {
            let age = held.filter(|held| held.condition == condition).map(|held| held.age);
            (Some(condition), why.to_owned(), age)
        }
        (None, Some(held)) => (Some(held.condition), held.text.clone(), Some(held.age)),
        (None, None) if status.slots_used >= status.slots => {
            let youngest = status.jobs.iter().map(|job| job.held).min();
            let why = format!("all {} slots are in use", status.slots);
            (Some(Condition::SlotsUsed), why, youngest)
        }
        (None, None) => {
            let later = status.queue.map(later).unwrap_or_default();
            (None, nothing(status.asked.as_ref()) + &later, None)
        }
    };
    Idle {
        version: VERSION,
        condition,
        why,
        age,
        mended_by: condition.map(Condition::mended_by),
        asked: status.asked.as_ref(),
        slots_used: status.slots_used,
        slots: status.slots,
    }
}

/// For people.
pub(crate) fn why_idle_text(idle: &Idle<'_>, paper: Paper) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        for (number, value) in wrapped(value, 9).into_iter().enumerate() {
            let name = if number == 0 { name } else { "" };
            let _infallible = writeln!(text, "{name:7}  {}", value.trim_start());
        }
    };
    match idle.condition {
        Some(_) => line("held", &idle.why),
        None => line("free", &idle.why),
    }
    if let Some(age) = idle.age {
        line("since", &format!("{} ago", seconds(age)));
    }
    if let Some(cure) = idle.mended_by {
        line("mended", &format!("by: {cure}"));
    }
    line("slots", &format!("{} of {} in use", idle.slots_used, idle.slots));
    if let Some(asked) = idle.asked.filter(|_| idle.condition.is_some()) {
        line("asked", &format!("the app was last asked {} ago", seconds(asked.age)));
    }
    let text = text.trim_end();
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let first = if idle.condition.is_some() { paper.yellow(first) } else { paper.green(first) };
    format!("{first}\n{rest}")
}

/// For programs: one JSON object.
pub(crate) fn why_idle_json(idle: &Idle<'_>) -> String {
    // Strings and numbers always serialise.
    serde_json::to_string_pretty(idle).unwrap_or_default()
}

fn nothing(asked: Option<&AskedView>) -> String {
    match asked {
        None => "nothing holds claims back; the app is being asked for the first time".to_owned(),
        Some(AskedView { answer: Answer::NoJob, age }) => {
            format!(
                "nothing holds claims back: no job waits in the app (asked {} ago)",
                seconds(*age)
            )
        }
        Some(AskedView { answer: Answer::Job, age }) => {
            format!("nothing holds claims back: a job was claimed {} ago", seconds(*age))
        }
    }
}

/// What waits in the app, and not for us.
fn later(queue: Queue) -> String {
    let mut words = String::new();
    if queue.parked > 0 {
        let due = queue.parked_until.map(|until| format!("; the first is due at {until}"));
        let due = due.unwrap_or_default();
        let _infallible =
            write!(words, "; parked, as a provider's limit is used up: {}{due}", queue.parked);
    }
    if queue.over_budget > 0 {
        let count = queue.over_budget;
        let _infallible = write!(words, "; over their project's budget of the day: {count}");
    }
    words
}

#[cfg(test)]
mod tests {
    use api_client::UtcTime;

    use super::*;
    use crate::board::HeldView;

    fn status(gate: &str) -> StatusView {
        StatusView { gate: gate.to_owned(), slots: 2, ..StatusView::default() }
    }

    #[test]
    fn the_operators_wish_comes_before_what_is_wrong() {
        let held = HeldView { text: "no engine".to_owned(), age: 9, condition: Condition::Engine };
        let status = StatusView { held: Some(held), ..status("paused") };
        let idle = why_idle(&status);
        assert_eq!((idle.condition, idle.age), (Some(Condition::Paused), None));
        assert_eq!(idle.mended_by, Some("coordinator resume"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_age_and_its_cure() {
        let held = HeldView { text: "no engine".to_owned(), age: 75, condition: Condition::Engine };
        let status = StatusView { held: Some(held), ..status("open") };
        let text = why_idle_text(&why_idle(&status), Paper::Plain);
        assert!(
            text.starts_with("held     no engine\nsince    1m 15s ago\nmended   by: start Docker"),
            "{text}"
        );
        assert!(text.ends_with("slots    0 of 2 in use"), "{text}");
    }

    #[test]
    fn full_slots_and_an_empty_queue_are_told_apart() {
        let full = StatusView { slots_used: 2, ..status("open") };
        assert_eq!(why_idle(&full).condition, Some(Condition::SlotsUsed));
        let asked = Some(AskedView { answer: Answer::NoJob, age: 3 });
        let free = StatusView { asked, ..status("open") };
        let text = why_idle_text(&why_idle(&free), Paper::Plain);
        assert!(
            text.starts_with(
                "free     nothing holds claims back: no job waits in the app (asked 3s ago)"
            ),
            "{text}"
        );
    }

    #[test]
    fn jobs_that_wait_for_a_limit_or_for_the_next_day_are_told() {
        let queue = Queue {
            parked: 2,
            parked_until: Some(UtcTime::from_seconds(1_795_255_200)),
            over_budget: 3,
            ..Queue::default()
        };
        let asked = Some(AskedView { answer: Answer::NoJob, age: 3 });
        let idle = StatusView { asked, queue: Some(queue), ..status("open") };
        let why = why_idle(&idle).why;
        assert!(
            why.contains("limit is used up: 2; the first is due at 2026-11-21T10:00:00Z"),
            "{why}"
        );
        assert!(why.ends_with("over their project's budget of the day: 3"), "{why}");
    }
}
