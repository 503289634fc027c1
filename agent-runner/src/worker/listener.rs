//! Takes down what happens in a turn, and sums it up.

use std::time::{Duration, Instant};

use tracing::Level;

use super::event::{Ending, Event, Usage};
use super::process::{Finished, Limits, Next, Stop};
use super::{Exit, LOGGED_MAX, Reader};
use crate::bounded::{HeadTail, bounded};
use crate::logging::PROGRESS;
use crate::model_gateway::Totals;

/// The target of what the CLI does, in the log.
const TARGET: &str = "worker";

/// How much of a turn's transcript is kept, in bytes.
const TRANSCRIPT_MAX: usize = 64 << 10;

/// How much of the model's last words is kept, in bytes.
const ANSWER_MAX: usize = 16 << 10;

/// How long a CLI may write lines of which the log shows nothing, until the log says so. Coordinators
/// end a runner that prints nothing for some minutes (15 by default).
const UNSHOWN_MAX: Duration = Duration::from_secs(60);

/// What came of a turn.
#[derive(Debug)]
pub(crate) struct TurnReport {
    /// How it ended.
    pub(crate) ending: Ending,
    /// The model's last words.
    pub(crate) answer: String,
    /// What happened, for people: beginning and end.
    pub(crate) transcript: String,
    /// Tokens, as the CLI counts them.
    pub(crate) usage: Usage,
    /// The calls of its model, as the gateway counts them.
    pub(crate) calls: Totals,
    /// Lines that were not understood.
    pub(crate) unknown: u64,
}

impl TurnReport {
    /// The turn with what its model's gateway says of it: a budget that is used up is why it ended.
    pub(crate) fn after(self, calls: Totals) -> Self {
        let ending = calls.exhausted.clone().map_or(self.ending, Ending::BudgetExhausted);
        Self { ending, calls, ..self }
    }
}

/// Takes the events of a turn down.
pub(super) struct Listener {
    reader: Box<dyn Reader>,
    transcript: HeadTail,
    answer: String,
    usage: Usage,
    /// The name of the session, once the CLI said it.
    pub(super) session: Option<String>,
    /// Lines that were not understood.
    pub(super) unknown: u64,
    pulse: Pulse,
}

/// When the log last showed that the CLI is alive. It beats with the CLI's lines and never by itself:
/// a CLI that is silent must look silent.
#[derive(Debug, Default)]
struct Pulse(Option<Instant>);

/// Whether the log shows an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Shown,
    Hidden,
}

impl Pulse {
    /// Takes a line of the CLI; whether the log has to say that there was one.
    fn beat(&mut self, entry: Entry, now: Instant) -> bool {
        let fresh = self.0.is_some_and(|shown| now.duration_since(shown) < UNSHOWN_MAX);
        if entry == Entry::Hidden && fresh {
            return false;
        }
        self.0 = Some(now);
        entry == Entry::Hidden
    }
}

impl Listener {
    pub(super) fn new(reader: Box<dyn Reader>) -> Self {
        Self {
            reader,
            transcript: HeadTail::new(TRANSCRIPT_MAX),
            answer: String::new(),
            usage: Usage::default(),
            session: None,
            unknown: 0,
            pulse: Pulse::default(),
        }
    }

    /// Takes a line; what it means for the process.
    pub(super) fn hear(&mut self, line: &str) -> Next {
        let mut next = Next::Continue;
        let mut entry = Entry::Hidden;
        for event in self.reader.line(line) {
            if self.note(&event.to_string()) == Entry::Shown {
                entry = Entry::Shown;
            }
            match event {
                Event::Session(id) => self.session = Some(id),
                Event::Text(text) => self.answer = bounded(&text, ANSWER_MAX),
                Event::Usage(usage) => self.usage += usage,
                Event::End => next = Next::Ended,
                Event::Hopeless(ending) => next = Next::Hopeless(ending),
                Event::Unknown => self.unknown += 1,
                Event::Tool { .. } | Event::ToolFailed(_) | Event::Retry(_) | Event::Error(_) => {}
            }
        }
        if self.pulse.beat(entry, Instant::now()) {
            tracing::info!(target: PROGRESS, "the coding CLI is at work");
        }
        next
    }

    fn note(&mut self, entry: &str) -> Entry {
        if entry.is_empty() {
            return Entry::Hidden;
        }
        tracing::info!(target: TARGET, "{}", bounded(entry, LOGGED_MAX));
        self.transcript.push(entry);
        self.transcript.push("\n");
        if tracing::enabled!(target: TARGET, Level::INFO) { Entry::Shown } else { Entry::Hidden }
    }

    /// The turn as a whole, now that the process is gone.
    pub(super) fn report(mut self, finished: Finished, limits: Limits) -> TurnReport {
        let exit = |status| Exit { status, stderr: &finished.stderr };
        let ending = match finished.stop {
            Stop::Exited(status) => self.reader.judge(&exit(Some(status))),
            Stop::HungAfterEnd => self.reader.judge(&exit(None)),
            Stop::Hopeless(ending) => ending,
            Stop::TimedOut => Ending::TimedOut(limits.turn),
            Stop::Stalled => Ending::Stalled(limits.stall),
            Stop::Cancelled => Ending::Cancelled,
        };
        if ending != Ending::Finished && !finished.stderr.trim().is_empty() {
            self.transcript.push(&format!("[standard error]\n{}", finished.stderr));
        }
        TurnReport {
            ending,
            answer: self.answer,
            transcript: self.transcript.into_text(),
            usage: self.usage,
            calls: Totals::default(),
            unknown: self.unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_the_log_does_not_show_are_told_of_once_a_minute() {
        let (mut pulse, start) = (Pulse::default(), Instant::now());
        let mut told = |secs: u64| pulse.beat(Entry::Hidden, start + Duration::from_secs(secs));
        let told: Vec<u64> = (0..200).step_by(10).filter(|secs| told(*secs)).collect();
        assert_eq!(told, [0, 60, 120, 180]);
    }

    #[test]
    fn a_line_that_the_log_shows_says_enough() {
        let (mut pulse, start) = (Pulse::default(), Instant::now());
        let mut beat = |entry, secs: u64| pulse.beat(entry, start + Duration::from_secs(secs));
        assert!(!beat(Entry::Shown, 0));
        assert!(!beat(Entry::Hidden, 59));
        assert!(!beat(Entry::Shown, 100));
        assert!(!beat(Entry::Hidden, 159));
        assert!(beat(Entry::Hidden, 160));
    }
}
