//! What the coding CLI wrote, taken down line by line while it runs, so that somebody else can replay it
//! ([`replay`](crate::replay)). `docs/agent.md` describes the file.
//!
//! Invariants: lines arrive without any known secret, and the prompt is not among them; the file is never longer
//! than [`TRANSCRIPT_MAX_BYTES`]; one that cannot be written costs the record and never the run.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api_client::contract::TRANSCRIPT_MAX_BYTES;
use serde::{Deserialize, Serialize};

use super::ending::Ending;
use super::listener::TurnReport;
use super::process::{Finished, Limits, Stop};
use crate::model_gateway::Totals;
use crate::settings::{Provider, WorkerKind, WorkerSettings};

/// Version of the format.
const VERSION: u32 = 1;

/// How much of all turns is written as it comes, in bytes. Of what comes later, the end of each turn is.
const HEAD_MAX: usize = 5 << 20;

/// How much of the end of a turn is kept then, in bytes.
const TAIL_MAX: usize = 512 << 10;

/// Longest line that is taken down, in bytes of its record.
const LINE_MAX: usize = 1 << 20;

/// What lines leave free, for how turns began and ended.
const RESERVED: usize = 512 << 10;

/// The record that says that nothing more is recorded has this room, in bytes.
const LAST: usize = 64;

/// One line of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Record {
    /// A turn begins.
    Turn(TurnBegun),
    /// A line of the CLI's standard output.
    Line { text: String },
    /// Lines that were left out here, for want of room.
    Gap { lines: u64, bytes: u64 },
    /// The turn is over.
    End(Box<TurnEnded>),
    /// There is no room for more.
    Full,
}

/// What the reader of a turn depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TurnBegun {
    version: u32,
    /// Its name in `WORKER_MODE`.
    pub(crate) cli: String,
    /// Whether the model's endpoint was that of the CLI's own provider.
    own_provider: bool,
    turn_limit_secs: u64,
    stall_limit_secs: u64,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TurnEnded {
    pub(super) how: HowEnded,
    /// Beginning and end of the CLI's standard error.
    pub(super) stderr: String,
    /// The calls of its model, as the gateway counted them.
    pub(super) calls: Totals,
    /// What was made of it then, in one word.
    pub(crate) ending: String,
    /// The same for people.
    pub(crate) detail: String,
}

/// Why a CLI's process was no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HowEnded {
    /// The turn came to its end before the CLI was started.
    NotBegun(Ending),
    ExitCode(i32),
    Signal(i32),
    HungAfterEnd,
    Hopeless,
    TimedOut,
    Stalled,
    Cancelled,
}

/// A turn as it was taken down.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecordedTurn {
    pub(crate) begun: TurnBegun,
    /// What the CLI wrote.
    pub(crate) lines: Vec<String>,
    /// How many lines were left out.
    pub(crate) left_out: u64,
    /// Absent where the run was ended in the middle of it.
    pub(crate) ended: Option<TurnEnded>,
}

/// A transcript cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TranscriptError {
    #[error("line {line} is no record of a transcript")]
    NoRecord {
        line: usize,
        #[source]
        source: serde_json::Error,
    },
    #[error(
        "line {line} has version {version} of the format; this agent-runner knows version {VERSION}"
    )]
    Version { line: usize, version: u32 },
    #[error("line {line} belongs to no turn")]
    NoTurn { line: usize },
}

/// Where turns are taken down. Copies share the file; without one, nothing is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    file: Option<File>,
    written: usize,
    /// The end of the turn, once the head is full.
    tail: VecDeque<String>,
    tail_bytes: usize,
    /// Lines and bytes that are left out before that.
    gap: (u64, u64),
    /// How the CLI's process ended, in the turn that goes on.
    ended: Option<(HowEnded, String)>,
    is_begun: bool,
}

impl Transcript {
    /// Begins the file, where one is wanted, in place of what is there.
    pub(crate) fn write_to(&self, file: Option<PathBuf>) {
        let Some(path) = file else { return };
        // What is there may be another's, or a link to elsewhere.
        let opened = match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path),
        };
        match opened {
            Ok(file) => *self.inner() = Inner { file: Some(file), ..Inner::default() },
            Err(error) => tracing::warn!(
                %error, file = %path.display(), "what the coding CLI writes is not taken down"
            ),
        }
    }

    /// A turn begins.
    pub(super) fn begin(&self, turn: &TurnBegun) {
        let mut inner = self.inner();
        inner.is_begun = true;
        inner.put(&Record::Turn(turn.clone()), LAST);
    }

    /// A line of the CLI, without any known secret.
    pub(super) fn line(&self, line: &str) {
        let mut inner = self.inner();
        if inner.file.is_some() {
            inner.line(line);
        }
    }

    /// The process of the turn has ended.
    pub(super) fn process_ended(&self, finished: Finished) {
        self.inner().ended = Some((HowEnded::of(&finished.stop), finished.stderr));
    }

    /// The turn is over, and this was made of it.
    pub(super) fn end(&self, turn: &TurnBegun, report: &TurnReport) {
        let mut inner = self.inner();
        if !std::mem::take(&mut inner.is_begun) {
            inner.put(&Record::Turn(turn.clone()), LAST);
        }
        inner.put_tail();
        let not_begun = || (HowEnded::NotBegun(report.ending.clone()), String::new());
        let (how, stderr) = inner.ended.take().unwrap_or_else(not_begun);
        let ended = TurnEnded {
            how,
            stderr,
            calls: report.calls.clone(),
            ending: report.ending.name().to_owned(),
            detail: report.ending.to_string(),
        };
        inner.put(&Record::End(Box::new(ended)), LAST);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn line(&mut self, line: &str) {
        let Some(record) = text(&Record::Line { text: line.to_owned() }) else { return };
        if record.len() > LINE_MAX {
            self.put_tail();
            self.leave_out(record.len());
            return self.put_gap();
        }
        if self.tail.is_empty() && self.gap == (0, 0) && self.written + record.len() <= HEAD_MAX {
            return self.write(&record, RESERVED);
        }
        self.tail_bytes += record.len();
        self.tail.push_back(record);
        while self.tail_bytes > TAIL_MAX {
            let Some(first) = self.tail.pop_front() else { break };
            self.tail_bytes -= first.len();
            self.leave_out(first.len());
        }
    }

    fn leave_out(&mut self, bytes: usize) {
        self.gap.0 += 1;
        self.gap.1 += bytes as u64;
    }

    fn put_gap(&mut self) {
        let (lines, bytes) = std::mem::take(&mut self.gap);
        if lines > 0 {
            self.put(&Record::Gap { lines, bytes }, LAST);
        }
    }

    /// Writes the end of the turn, as far as there is room for it.
    fn put_tail(&mut self) {
        let mut tail = std::mem::take(&mut self.tail);
        let mut bytes = std::mem::take(&mut self.tail_bytes);
        while self.written + bytes + RESERVED > TRANSCRIPT_MAX_BYTES {
            let Some(first) = tail.pop_front() else { break };
            bytes -= first.len();
            self.leave_out(first.len());
        }
        self.put_gap();
        for record in tail {
            self.write(&record, RESERVED);
        }
    }

    fn put(&mut self, record: &Record, free: usize) {
        if let Some(record) = text(record) {
            self.write(&record, free);
        }
    }

    /// Writes a record that leaves so much free; the first one that does not is the last.
    fn write(&mut self, record: &str, free: usize) {
        let Some(file) = &mut self.file else { return };
        let fits = self.written + record.len() + free <= TRANSCRIPT_MAX_BYTES;
        let last = text(&Record::Full).unwrap_or_default();
        let record = if fits { record } else { &last };
        let written = file.write_all(record.as_bytes());
        self.written += record.len();
        if let Err(error) = &written {
            tracing::warn!(%error, "what the coding CLI writes is taken down no longer");
        }
        if written.is_err() || !fits {
            self.file = None;
        }
    }
}

fn text(record: &Record) -> Option<String> {
    // Strings and numbers always serialise.
    serde_json::to_string(record).ok().map(|record| record + "\n")
}

impl TurnBegun {
    pub(super) fn of(settings: &WorkerSettings) -> Self {
        Self {
            version: VERSION,
            cli: settings.cli.name().to_owned(),
            own_provider: settings.provider == Provider::Own,
            turn_limit_secs: settings.turn_limit.as_secs(),
            stall_limit_secs: settings.stall_limit.as_secs(),
        }
    }

    /// Which CLI; nothing where it is none of ours.
    pub(super) fn kind(&self) -> Option<WorkerKind> {
        WorkerKind::ALL.into_iter().find(|kind| kind.name() == self.cli)
    }

    pub(super) const fn provider(&self) -> Provider {
        if self.own_provider { Provider::Own } else { Provider::Other }
    }

    pub(super) const fn limits(&self) -> Limits {
        Limits {
            turn: Duration::from_secs(self.turn_limit_secs),
            stall: Duration::from_secs(self.stall_limit_secs),
        }
    }
}

impl HowEnded {
    fn of(stop: &Stop) -> Self {
        match stop {
            Stop::Exited(status) => match status.signal() {
                Some(signal) => Self::Signal(signal),
                None => Self::ExitCode(status.code().unwrap_or(-1)),
            },
            Stop::HungAfterEnd => Self::HungAfterEnd,
            Stop::Hopeless(_) => Self::Hopeless,
            Stop::TimedOut => Self::TimedOut,
            Stop::Stalled => Self::Stalled,
            Stop::Cancelled => Self::Cancelled,
        }
    }

    /// The same as the process told it; `given_up` is what the listener says of a turn without hope.
    pub(super) fn stop(&self, given_up: Option<Ending>) -> Stop {
        match self {
            // As wait(2) tells them: the code in the second byte, the signal in the first.
            Self::ExitCode(code) => Stop::Exited(ExitStatus::from_raw((code & 0xff) << 8)),
            Self::Signal(signal) => Stop::Exited(ExitStatus::from_raw(signal & 0x7f)),
            Self::Hopeless => given_up.map_or(Stop::HungAfterEnd, Stop::Hopeless),
            Self::HungAfterEnd => Stop::HungAfterEnd,
            Self::TimedOut => Stop::TimedOut,
            Self::Stalled => Stop::Stalled,
            Self::Cancelled | Self::NotBegun(_) => Stop::Cancelled,
        }
    }
}

/// The turns of a transcript. A last line that was cut, as a killed run leaves it, is left out.
///
/// # Errors
/// When a line is no record, with its number from 1.
pub(crate) fn turns_of(transcript: &str) -> Result<Vec<RecordedTurn>, TranscriptError> {
    let mut turns: Vec<RecordedTurn> = Vec::new();
    for (at, line) in transcript.split_inclusive('\n').enumerate() {
        let line_number = at + 1;
        let record = match serde_json::from_str(line) {
            Err(_) if !line.ends_with('\n') => break,
            Err(source) => return Err(TranscriptError::NoRecord { line: line_number, source }),
            Ok(record) => record,
        };
        if let Record::Turn(begun) = record {
            if begun.version != VERSION {
                let version = begun.version;
                return Err(TranscriptError::Version { line: line_number, version });
            }
            turns.push(RecordedTurn { begun, lines: Vec::new(), left_out: 0, ended: None });
            continue;
        }
        let open = turns.last_mut().filter(|turn| turn.ended.is_none());
        match (record, open) {
            (Record::Line { text }, Some(turn)) => turn.lines.push(text),
            (Record::Gap { lines, .. }, Some(turn)) => turn.left_out += lines,
            (Record::End(ended), Some(turn)) => turn.ended = Some(*ended),
            (Record::Full, _) | (Record::Turn(_), _) => {}
            (Record::Line { .. } | Record::Gap { .. } | Record::End(_), None) => {
                return Err(TranscriptError::NoTurn { line: line_number });
            }
        }
    }
    Ok(turns)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::process::Stop;
    use super::*;

    fn begun() -> TurnBegun {
        TurnBegun {
            version: VERSION,
            cli: "claude-code".to_owned(),
            own_provider: false,
            turn_limit_secs: 60,
            stall_limit_secs: 30,
        }
    }

    fn finished(code: i32) -> Finished {
        let stop = Stop::Exited(ExitStatus::from_raw(code << 8));
        Finished { stop, stderr: "words".to_owned(), counts: Default::default() }
    }

    /// A transcript in a folder of its own, and what is read of it at the end.
    fn taken_down(take_down: impl FnOnce(&Transcript)) -> (String, Vec<RecordedTurn>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transcript.jsonl");
        std::fs::write(&path, "of an earlier run").unwrap();
        let transcript = Transcript::default();
        transcript.write_to(Some(path.clone()));
        take_down(&transcript);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(path).unwrap();
        let turns = turns_of(&text).unwrap();
        (text, turns)
    }

    #[test]
    fn turns_are_read_as_they_were_taken_down() {
        let (_, turns) = taken_down(|transcript| {
            transcript.begin(&begun());
            transcript.line(r#"{"type":"a"}"#);
            transcript.line("no JSON: \"\u{1b}\\");
            transcript.process_ended(finished(3));
            transcript.end(&begun(), &TurnReport::not_begun(Ending::Crashed("x".to_owned())));
            let unfit = Ending::AuthFailed("no".to_owned());
            transcript.end(&begun(), &TurnReport::not_begun(unfit));
            transcript.begin(&begun());
            transcript.line("last");
        });
        assert_eq!(turns.len(), 3);
        assert_eq!(turns[0].lines, [r#"{"type":"a"}"#, "no JSON: \"\u{1b}\\"]);
        let ended = turns[0].ended.as_ref().unwrap();
        assert_eq!((&ended.how, ended.stderr.as_str()), (&HowEnded::ExitCode(3), "words"));
        assert_eq!(ended.ending, "crashed");
        let ended = turns[1].ended.as_ref().unwrap();
        assert_eq!(ended.how, HowEnded::NotBegun(Ending::AuthFailed("no".to_owned())));
        assert_eq!((&turns[2].lines[..], &turns[2].ended), (&["last".to_owned()][..], &None));
    }

    #[test]
    fn of_long_turns_the_beginning_and_the_end_of_each_are_kept_within_the_limit() {
        let (text, turns) = taken_down(|transcript| {
            for turn in 0..12 {
                transcript.begin(&begun());
                for number in 0..40 {
                    transcript.line(&format!("{turn}:{number}:{}", "x".repeat(100_000)));
                }
                transcript.line(&"y".repeat(LINE_MAX));
                transcript.line("the end");
                transcript.process_ended(finished(0));
                transcript.end(&begun(), &TurnReport::not_begun(Ending::Finished));
            }
        });
        assert!(text.len() <= TRANSCRIPT_MAX_BYTES, "{}", text.len());
        assert!(turns.len() >= 4 && turns.len() <= 12, "{}", turns.len());
        for turn in &turns[..4] {
            assert_eq!(turn.lines.last().unwrap(), "the end");
            assert!(turn.left_out > 0 && turn.ended.is_some());
        }
        assert!(turns[0].lines[0].starts_with("0:0:"));
    }

    #[test]
    fn a_line_that_is_no_record_is_named_and_a_cut_last_one_is_left_out() {
        let turn = serde_json::to_string(&Record::Turn(begun())).unwrap();
        assert_eq!(turns_of(&format!("{turn}\n{{\"record\":\"li")).unwrap().len(), 1);
        let said = |text: &str| turns_of(text).unwrap_err().to_string();
        assert_eq!(said(&format!("{turn}\nx\n")), "line 2 is no record of a transcript");
        assert_eq!(said("{\"record\":\"line\",\"text\":\"\"}\n"), "line 1 belongs to no turn");
        let later = turn.replace("\"version\":1", "\"version\":2");
        assert!(said(&format!("{later}\n")).starts_with("line 1 has version 2"));
    }

    #[test]
    fn a_file_that_cannot_be_had_costs_the_record_alone() {
        let transcript = Transcript::default();
        transcript.write_to(Some("/nonexistent/transcript".into()));
        transcript.begin(&begun());
        transcript.line("x");
        transcript.process_ended(finished(0));
        transcript.end(&begun(), &TurnReport::not_begun(Ending::Finished));
    }
}
