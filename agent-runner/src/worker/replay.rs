//! A turn once more, from its record: read, heard and judged by what reads, hears and judges a turn that goes on.
//!
//! In the place of the process stands what was recorded of it, so that no time passes and nothing is started.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::adapter::{Exit, Reader, field};
use super::ending::Ending;
use super::event::Event;
use super::lines::LineCounts;
use super::listener::{Listener, Memory, TurnReport};
use super::process::{Finished, Next};
use super::transcript::{HowEnded, RecordedTurn, TurnBegun};
use super::{aider, claude_code, codex, gemini, opencode};
use crate::bounded::bounded;
use crate::redaction::Redaction;
use crate::settings::WorkerKind;

/// Longest name of an event that is not known, in bytes.
const NAME_MAX: usize = 80;

/// Most names of such events that are told apart.
const NAMES_MAX: usize = 50;

/// Turns that are replayed one after the other: a later one continues the session.
#[derive(Debug, Default)]
pub(crate) struct Session {
    memory: Memory,
}

/// What is made of a turn.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) report: TurnReport,
    /// How many events of each kind there were.
    pub(crate) events: BTreeMap<&'static str, u64>,
    /// What those are called that were not understood.
    pub(crate) unknown: BTreeMap<String, u64>,
    /// The line, from 1, at which the CLI would be given up, where it was not.
    pub(crate) given_up_at: Option<usize>,
}

#[derive(Debug, Default)]
struct Counts {
    events: BTreeMap<&'static str, u64>,
    unknown: BTreeMap<String, u64>,
}

/// Counts what a reader understands.
struct Counted {
    reader: Box<dyn Reader>,
    counts: Arc<Mutex<Counts>>,
}

impl Reader for Counted {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let events = self.reader.line(line);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for event in &events {
            *counts.events.entry(event.kind()).or_default() += 1;
            if *event == Event::Unknown {
                let name = name_of(line);
                let has_room = counts.unknown.len() < NAMES_MAX;
                let name = if has_room { name } else { "others".to_owned() };
                *counts.unknown.entry(name).or_default() += 1;
            }
        }
        events
    }

    fn judge(&self, exit: &Exit<'_>) -> Ending {
        self.reader.judge(exit)
    }
}

impl Session {
    /// What is made of the next turn; nothing where its CLI is none of ours.
    pub(crate) fn turn(&mut self, turn: &RecordedTurn) -> Option<Replayed> {
        let counts = Arc::new(Mutex::new(Counts::default()));
        let reader = Counted { reader: reader(&turn.begun)?, counts: Arc::clone(&counts) };
        let memory = self.memory.clone();
        let mut listener = Listener::new(Box::new(reader), memory, Redaction::default());
        let was_given_up = turn.ended.as_ref().is_some_and(|end| end.how == HowEnded::Hopeless);
        let (mut given_up, mut given_up_at) = (None, None);
        for (at, line) in turn.lines.iter().enumerate() {
            if let Next::Hopeless(ending) = listener.hear(line) {
                given_up.get_or_insert(ending);
                given_up_at.get_or_insert(at + 1);
                if was_given_up {
                    break;
                }
            }
        }
        let (how, stderr) = match &turn.ended {
            Some(end) => (&end.how, end.stderr.clone()),
            // Whatever ended the run ended the CLI.
            None => (&HowEnded::Cancelled, String::new()),
        };
        let finished = Finished { stop: how.stop(given_up), stderr, counts: LineCounts::default() };
        let heard = listener.report(&finished, turn.begun.limits());
        self.memory = heard.memory;
        let report = match how {
            HowEnded::NotBegun(ending) => TurnReport::not_begun(ending.clone()),
            _ => heard.report,
        };
        let calls = turn.ended.as_ref().map(|end| end.calls.clone()).unwrap_or_default();
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Counts { events, unknown } = std::mem::take(&mut *counts);
        Some(Replayed {
            report: report.after(calls),
            events,
            unknown,
            given_up_at: given_up_at.filter(|_| !was_given_up),
        })
    }
}

fn reader(turn: &TurnBegun) -> Option<Box<dyn Reader>> {
    Some(match turn.kind()? {
        WorkerKind::OpenCode => opencode::reader(),
        WorkerKind::ClaudeCode => claude_code::reader(turn.provider()),
        WorkerKind::Codex => codex::reader(),
        WorkerKind::Gemini => gemini::reader(),
        WorkerKind::Aider => aider::reader(),
    })
}

/// What the CLI calls an event, as far as a line tells.
fn name_of(line: &str) -> String {
    let Ok(event) = serde_json::from_str::<Value>(line) else { return "no JSON".to_owned() };
    let parts = [
        field(&event, "type"),
        field(&event, "subtype"),
        field(&event["item"], "type"),
        field(&event["part"], "type"),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [] => "without a type".to_owned(),
        parts => bounded(&parts.join("/"), NAME_MAX),
    }
}
