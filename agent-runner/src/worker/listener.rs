//! Takes down what happens in a turn, and sums it up.

use super::event::{Ending, Event, Usage};
use super::process::{Finished, Limits, Next, Stop};
use super::{Exit, LOGGED_MAX, Reader};
use crate::bounded::{HeadTail, bounded};

/// How much of a turn's transcript is kept, in bytes.
const TRANSCRIPT_MAX: usize = 64 << 10;

/// How much of the model's last words is kept, in bytes.
const ANSWER_MAX: usize = 16 << 10;

/// What came of a turn.
#[derive(Debug)]
pub(crate) struct TurnReport {
    /// How it ended.
    pub(crate) ending: Ending,
    /// The model's last words.
    pub(crate) answer: String,
    /// What happened, for people: beginning and end.
    pub(crate) transcript: String,
    /// Tokens.
    pub(crate) usage: Usage,
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
        }
    }

    /// Takes a line; what it means for the process.
    pub(super) fn hear(&mut self, line: &str) -> Next {
        let mut next = Next::Continue;
        for event in self.reader.line(line) {
            self.note(&event.to_string());
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
        next
    }

    fn note(&mut self, entry: &str) {
        if entry.is_empty() {
            return;
        }
        tracing::info!(target: "worker", "{}", bounded(entry, LOGGED_MAX));
        self.transcript.push(entry);
        self.transcript.push("\n");
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
        }
    }
}
