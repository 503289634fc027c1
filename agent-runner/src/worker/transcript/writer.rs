//! Takes a transcript down while the CLI runs.
//!
//! Invariants: lines arrive without any known secret, and the prompt is not among them; the file is never longer
//! than [`TRANSCRIPT_MAX_BYTES`]; one that cannot be written costs the record and never the run.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api_client::contract::TRANSCRIPT_MAX_BYTES;

use super::{HowEnded, Record, TurnBegun, TurnEnded};
use crate::worker::listener::TurnReport;
use crate::worker::process::Finished;

/// How much of all turns is written as it comes, in bytes. Of what comes later, the end of each turn is.
const HEAD_MAX: usize = 5 << 20;

/// How much of the end of a turn is kept then, in bytes.
const TAIL_MAX: usize = 512 << 10;

/// Longest line that is taken down, in bytes of its record.
pub(super) const LINE_MAX: usize = 1 << 20;

/// What lines leave free, for how turns began and ended.
const RESERVED: usize = 512 << 10;

/// The record that says that nothing more is recorded has this room, in bytes.
const LAST: usize = 64;

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
    pub(in crate::worker) fn begin(&self, turn: &TurnBegun) {
        let mut inner = self.inner();
        inner.is_begun = true;
        inner.put(&Record::Turn(turn.clone()), LAST);
    }

    /// A line of the CLI, without any known secret.
    pub(in crate::worker) fn line(&self, line: &str) {
        let mut inner = self.inner();
        if inner.file.is_some() {
            inner.line(line);
        }
    }

    /// The process of the turn has ended.
    pub(in crate::worker) fn process_ended(&self, finished: Finished) {
        self.inner().ended = Some((HowEnded::of(&finished.stop), finished.stderr));
    }

    /// The turn is over, and this was made of it.
    pub(in crate::worker) fn end(&self, turn: &TurnBegun, report: &TurnReport) {
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
