//! Takes down what happens in a turn, and sums it up.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tracing::Level;

use super::adapter::{Exit, Reader};
use super::ending::Ending;
use super::event::{Event, Usage};
use super::process::{Finished, Limits, Next, Stop};
use super::{LOGGED_MAX, ToolWatch};
use crate::bounded::{HeadTail, bounded};
use crate::logging::PROGRESS;
use crate::model_gateway::{Failing, Totals};
use crate::redaction::Redaction;

/// The target of what the CLI does, in the log.
const TARGET: &str = "worker";

/// How much of a turn's transcript is kept, in bytes.
const TRANSCRIPT_MAX: usize = 64 << 10;

/// How much of the model's last words is kept, in bytes: a review has a few sentences for each of its threads.
const ANSWER_MAX: usize = 48 << 10;

/// How long a CLI may write lines of which the log shows nothing, until the log says so. Coordinators
/// end a runner that prints nothing for some minutes (15 by default).
const UNSHOWN_MAX: Duration = Duration::from_secs(60);

/// How much of what a CLI wrote is kept as it came, in bytes.
const RAW_MAX: usize = 256 << 10;

/// Lines in a row that are not understood, after which no end is to be expected.
const UNKNOWN_MAX: u64 = 5_000;

/// How many of them the transcript shows.
const UNKNOWN_SHOWN: u64 = 5;

/// So many uses of tools, all of them in vain, are no accident.
const FAILED_TOOLS_MIN: u64 = 3;

/// What came of a turn.
#[derive(Debug)]
pub(crate) struct TurnReport {
    /// How it ended.
    pub(crate) ending: Ending,
    /// The model's last words.
    pub(crate) answer: String,
    /// How often the model used a tool or changed a file, as far as the CLI tells.
    pub(crate) deeds: u64,
    /// What the model, or the CLI, wanted to know, where nothing was changed as far as the CLI tells: where
    /// git says so too, the turn waits for an answer.
    pub(crate) question: Option<String>,
    /// What happened, for people: beginning and end.
    pub(crate) transcript: String,
    /// Tokens, as the CLI counts them.
    pub(crate) usage: Usage,
    /// What the turn cost in US dollars, where the CLI knows.
    pub(crate) cost_usd: Option<f64>,
    /// Lines that were not understood.
    pub(crate) unknown: u64,
    /// The calls of its model, as the gateway counts them.
    pub(crate) calls: Totals,
}

impl TurnReport {
    /// A turn that came to its end before the CLI was started.
    pub(crate) fn not_begun(ending: Ending) -> Self {
        Self {
            ending,
            answer: String::new(),
            deeds: 0,
            question: None,
            transcript: String::new(),
            usage: Usage::default(),
            cost_usd: None,
            unknown: 0,
            calls: Totals::default(),
        }
    }

    /// Whether the model neither did nor said anything, as far as the CLI was understood.
    pub(crate) fn is_empty(&self) -> bool {
        self.answer.trim().is_empty() && self.question.is_none() && self.deeds + self.unknown == 0
    }

    /// The turn with what its model's gateway says of it: a budget that is used up is why it ended, and a
    /// model that gives no answer is why a CLI was silent, which tries again without a word.
    pub(crate) fn after(self, calls: Totals) -> Self {
        let silent = matches!(self.ending, Ending::Stalled(_) | Ending::TimedOut(_));
        let ending = match (calls.exhausted.clone(), calls.failing.clone()) {
            (Some(exhausted), _) => Ending::BudgetExhausted(exhausted),
            (None, Some(Failing { status, why })) if silent => {
                Ending::of_error(status, format!("{why}; {}", self.ending))
            }
            (None, _) => self.ending,
        };
        Self { ending: ending.with_reset(calls.retry_after), calls, ..self }
    }
}

/// A turn that is over.
#[derive(Debug)]
pub(super) struct Heard {
    /// What came of it.
    pub(super) report: TurnReport,
    /// What the next turn has to know.
    pub(super) memory: Memory,
    /// What the CLI wrote, line by line: beginning and end.
    pub(super) raw: String,
}

/// What is known of a session from one turn to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Its name, once the CLI said it.
    pub(super) session: Option<String>,
    usage: Usage,
    cost: f64,
}

/// Takes the events of a turn down.
pub(super) struct Listener {
    reader: Box<dyn Reader>,
    redaction: Redaction,
    transcript: HeadTail,
    raw: HeadTail,
    answer: String,
    question: Option<String>,
    before: Memory,
    now: Memory,
    usage: Usage,
    unknown: u64,
    unknown_in_a_row: u64,
    tools: Tools,
    changes: u64,
    pulse: Pulse,
    watch: Option<ToolWatch>,
}

/// What became of the tools that the model used.
#[derive(Debug, Default)]
struct Tools {
    used: u64,
    failed: u64,
    last_failure: String,
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
    /// `redaction` hides what only shows when pieces of a text are put together.
    pub(super) fn new(reader: Box<dyn Reader>, before: Memory, redaction: Redaction) -> Self {
        Self {
            reader,
            redaction,
            transcript: HeadTail::new(TRANSCRIPT_MAX),
            raw: HeadTail::new(RAW_MAX),
            answer: String::new(),
            question: None,
            now: before.clone(),
            before,
            usage: Usage::default(),
            unknown: 0,
            unknown_in_a_row: 0,
            tools: Tools::default(),
            changes: 0,
            pulse: Pulse::default(),
            watch: None,
        }
    }

    /// Who is told of tools.
    pub(super) fn watched_by(&mut self, watch: Option<ToolWatch>) {
        self.watch = watch;
    }

    /// Takes a line; what it means for the process.
    pub(super) fn hear(&mut self, line: &str) -> Next {
        self.raw.push(line);
        self.raw.push("\n");
        let mut next = Next::Continue;
        let mut entry = Entry::Hidden;
        for event in self.reader.line(line) {
            let shown = self.redaction.redact(&event.to_string());
            if let (Event::Tool { .. }, Some(watch)) = (&event, &self.watch) {
                watch(&shown);
            }
            if self.note(&shown) == Entry::Shown {
                entry = Entry::Shown;
            }
            match event {
                Event::Unknown => next = self.not_understood(line),
                Event::End => next = Next::Ended,
                Event::PerhapsEnd => next = Next::PerhapsEnded,
                Event::Hopeless(ending) => next = Next::Hopeless(ending),
                known => self.take(known),
            }
        }
        if self.pulse.beat(entry, Instant::now()) {
            tracing::info!(target: PROGRESS, "the coding CLI is at work");
        }
        next
    }

    fn take(&mut self, event: Event) {
        self.unknown_in_a_row = 0;
        match event {
            Event::Session(id) => self.now.session = Some(id),
            Event::Text(text) => self.answer = bounded(&self.redaction.redact(&text), ANSWER_MAX),
            Event::Usage(usage) => self.usage += usage,
            Event::SessionUsage(usage) => self.now.usage = usage,
            Event::SessionCost(cost) => self.now.cost = cost,
            Event::Tool { .. } => self.tools.used += 1,
            Event::ToolFailed(why) => {
                self.tools.failed += 1;
                self.tools.last_failure = bounded(&self.redaction.redact(&why), LOGGED_MAX);
            }
            Event::FileChange(_) => self.changes += 1,
            Event::Question(text) => {
                self.question = Some(bounded(&self.redaction.redact(&text), LOGGED_MAX));
            }
            Event::CommandFailed(_)
            | Event::Note(_)
            | Event::Retry(_)
            | Event::Error(_)
            | Event::End
            | Event::PerhapsEnd
            | Event::Hopeless(_)
            | Event::Unknown => {}
        }
    }

    fn not_understood(&mut self, line: &str) -> Next {
        self.unknown += 1;
        self.unknown_in_a_row += 1;
        if self.unknown <= UNKNOWN_SHOWN {
            self.transcript.push(&format!("[not understood] {}\n", bounded(line, LOGGED_MAX)));
        }
        if self.unknown_in_a_row < UNKNOWN_MAX {
            return Next::Continue;
        }
        let how = format!("its last {UNKNOWN_MAX} lines were not understood");
        Next::Hopeless(Ending::Crashed(how))
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
    pub(super) fn report(mut self, finished: &Finished, limits: Limits) -> Heard {
        let ending = self.ending(finished, limits);
        if !ending.is_finished() && !finished.stderr.trim().is_empty() {
            self.transcript.push(&format!("[standard error]\n{}", finished.stderr));
        }
        let mut usage = self.now.usage.since(self.before.usage);
        usage += self.usage;
        let cost = self.now.cost - self.before.cost;
        let report = TurnReport {
            ending,
            question: self
                .question
                .or_else(|| question_in(&self.answer))
                .filter(|_| self.changes == 0),
            answer: self.answer,
            deeds: self.tools.used + self.changes,
            transcript: self.transcript.into_text(),
            usage,
            cost_usd: (cost > 0.0).then_some(cost),
            unknown: self.unknown,
            calls: Totals::default(),
        };
        Heard { report, memory: self.now, raw: self.raw.into_text() }
    }

    fn ending(&self, finished: &Finished, limits: Limits) -> Ending {
        let judge = |status| self.reader.judge(&Exit { status, stderr: &finished.stderr });
        let ending = match &finished.stop {
            Stop::Exited(status) => judge(Some(*status)),
            Stop::HungAfterEnd => match judge(None) {
                Ending::Finished => Ending::HungAfterEnd,
                other => other,
            },
            Stop::Hopeless(ending) => ending.clone(),
            Stop::TimedOut => Ending::TimedOut(limits.turn),
            Stop::Stalled => Ending::Stalled(limits.stall),
            Stop::ShutOut(left) => Ending::RateLimited {
                why: "the model endpoint wants to be left alone, and the coding CLI waits for that without a word"
                    .to_owned(),
                reset: Some(*left),
            },
            Stop::Cancelled => Ending::Cancelled,
        };
        let Tools { used, failed, last_failure } = &self.tools;
        if ending.is_finished() && *used >= FAILED_TOOLS_MIN && failed >= used {
            return Ending::ToolsBroken(format!("each of {used} uses failed: {last_failure}"));
        }
        ending
    }
}

/// The question that the model's last words end with.
fn question_in(answer: &str) -> Option<String> {
    let last = answer.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    last.ends_with('?').then(|| bounded(last, LOGGED_MAX))
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
