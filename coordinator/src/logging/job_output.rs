//! The output of jobs on its way to the journal: a line of it is an entry with the job's ids.
//!
//! Invariants: a job never waits for the journal; what the journal, or the bound on lines, does not take is
//! counted and told; what comes here was redacted before.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::journal::{Entry, SOCKET, priority, up_to};
use crate::ledger::Record;

/// What the lines are filed under.
const IDENTIFIER: &str = "terarchitect-agent";

/// Most lines that wait for the journal.
const QUEUE: usize = 2_000;

/// Longest line, in bytes; what is longer is several.
const LINE_MAX: usize = 8 << 10;

/// Lines of all jobs together: so many at once, and so many in a second from then on. The journal takes
/// 10,000 in 30 seconds of a service by default, and would drop the coordinator's own lines beyond that.
const BURST: u32 = 2_000;
const RATE: u32 = 200;

/// How often what was left out is told.
const TOLD: Duration = Duration::from_secs(10);

/// The way of all jobs' output to the journal.
#[derive(Debug)]
pub(crate) struct JobJournal {
    queue: mpsc::Sender<Vec<u8>>,
    /// For the one task that writes.
    work: Mutex<Option<mpsc::Receiver<Vec<u8>>>>,
    lost: Arc<AtomicU64>,
}

/// The output of one job on its way.
#[derive(Debug)]
pub(crate) struct JobLines {
    ids: Vec<(&'static str, String)>,
    partial: String,
    /// Bytes that were taken before, by an earlier process.
    known: u64,
    queue: mpsc::Sender<Vec<u8>>,
    lost: Arc<AtomicU64>,
}

impl Default for JobJournal {
    fn default() -> Self {
        let (queue, lines) = mpsc::channel(QUEUE);
        Self { queue, work: Mutex::new(Some(lines)), lost: Arc::default() }
    }
}

impl JobJournal {
    /// The way of a job's output.
    pub(crate) fn lines_of(&self, record: &Record) -> JobLines {
        let mut ids = vec![("job.id", record.job.job_id.to_string())];
        if let Some(ticket) = record.job.ticket {
            ids.push(("ticket.id", ticket.ticket_id.to_string()));
            ids.push(("project.id", ticket.project_id.to_string()));
        }
        ids.extend(record.container.as_ref().map(|id| ("container.id", id.to_string())));
        let (queue, lost) = (self.queue.clone(), Arc::clone(&self.lost));
        JobLines { ids, partial: String::new(), known: 0, queue, lost }
    }

    /// Writes what comes, until `end`.
    pub(crate) async fn write(&self, end: &CancellationToken) {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut lines) = work else { return };
        let written = self.write_to(Path::new(SOCKET), &mut lines);
        if let Some(Err(error)) = end.run_until_cancelled(written).await {
            tracing::error!(%error, "no output of jobs goes to the journal");
        }
    }

    async fn write_to(&self, path: &Path, lines: &mut mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        let mut bucket = Bucket::new(Instant::now());
        let mut told = Instant::now();
        while let Some(line) = lines.recv().await {
            if !bucket.takes(Instant::now()) || socket.send_to(&line, path).await.is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            if told.elapsed() >= TOLD {
                told = Instant::now();
                self.tell_lost();
            }
        }
        Ok(())
    }

    fn tell_lost(&self) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(
                "{lost} lines of jobs' output are not in the journal; the log files have them"
            );
        }
    }
}

impl JobLines {
    /// So many bytes at the beginning were taken before.
    pub(crate) fn skip(mut self, bytes: u64) -> Self {
        self.known = bytes;
        self
    }

    /// Takes the next piece; waits for nothing.
    pub(crate) fn push(&mut self, text: &str) {
        let known = usize::try_from(self.known).unwrap_or(usize::MAX).min(text.len());
        self.known -= known as u64;
        let new = (known..=text.len()).find_map(|begin| text.get(begin..));
        self.partial.push_str(new.unwrap_or_default());
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            self.put(&line);
        }
        if self.partial.len() > LINE_MAX {
            self.finish();
        }
    }

    /// Takes what was held back for the end of its line.
    pub(crate) fn finish(&mut self) {
        let line = std::mem::take(&mut self.partial);
        self.put(&line);
    }

    fn put(&self, line: &str) {
        let mut rest = line.trim_end();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(up_to(LINE_MAX, rest).len());
            rest = after;
            // What commands a terminal would hide the line from `journalctl`.
            let shown = |c: char| if c.is_control() && c != '\t' { ' ' } else { c };
            let part: String = part.chars().map(shown).collect();
            let mut entry = Entry::new(&part, priority(tracing::Level::INFO), IDENTIFIER);
            for (name, value) in &self.ids {
                entry.put(name, value);
            }
            if self.queue.try_send(entry.into_bytes()).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A bound on lines: [`BURST`] at once, [`RATE`] a second.
#[derive(Debug)]
struct Bucket {
    left: f64,
    filled: Instant,
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Self { left: f64::from(BURST), filled: now }
    }

    fn takes(&mut self, now: Instant) -> bool {
        let since = now.duration_since(self.filled).as_secs_f64();
        self.left = (self.left + since * f64::from(RATE)).min(f64::from(BURST));
        self.filled = now;
        let takes = self.left >= 1.0;
        if takes {
            self.left -= 1.0;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use api_client::JobId;

    use super::super::journal::tests::parsed;
    use super::*;
    use crate::ledger::JobRef;

    fn record() -> Record {
        Record::claimed(JobRef::unreadable(JobId::random()), None, 0)
    }

    #[tokio::test]
    async fn each_line_is_an_entry_with_the_ids_of_its_job() {
        let dir = tempfile::tempdir().unwrap();
        let reader = UnixDatagram::bind(dir.path().join("socket")).unwrap();
        let (journal, record) = (JobJournal::default(), record());
        let mut lines = journal.lines_of(&record);
        for piece in ["one\ntw", "o \u{1b}[31m\r\n\nthree"] {
            lines.push(piece);
        }
        lines.finish();
        let mut queue = journal.work.lock().unwrap().take().unwrap();
        let path = dir.path().join("socket");
        let read = async {
            let mut said = Vec::new();
            for _ in 0..3 {
                let mut datagram = vec![0; 16 << 10];
                let length = reader.recv(&mut datagram).await.unwrap();
                let fields = parsed(&datagram[..length]);
                assert_eq!(fields["JOB_ID"], record.job.job_id.to_string());
                assert_eq!(fields["SYSLOG_IDENTIFIER"], IDENTIFIER);
                said.push(fields["MESSAGE"].clone());
            }
            said
        };
        let said = tokio::select! {
            said = read => said,
            ended = journal.write_to(&path, &mut queue) => panic!("{ended:?}"),
        };
        assert_eq!(said, ["one", "two  [31m", "three"]);
    }

    #[test]
    fn a_flood_waits_for_nothing_and_is_counted() {
        let journal = JobJournal::default();
        let mut lines = journal.lines_of(&record());
        (0..3 * QUEUE).for_each(|_| lines.push("x\n"));
        assert_eq!(journal.lost.load(Ordering::Relaxed), 2 * QUEUE as u64);
    }

    #[test]
    fn a_line_without_end_is_cut_and_what_an_earlier_process_took_is_not_taken_again() {
        let journal = JobJournal::default();
        let mut lines = journal.lines_of(&record()).skip(4);
        lines.push("éé");
        lines.push(&"é".repeat(LINE_MAX));
        let mut queue = journal.work.lock().unwrap().take().unwrap();
        let lengths: Vec<_> = std::iter::from_fn(|| queue.try_recv().ok())
            .map(|entry| parsed(&entry)["MESSAGE"].len())
            .collect();
        assert_eq!(lengths, [LINE_MAX, LINE_MAX]);
    }

    #[test]
    fn the_bound_is_a_burst_and_then_a_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::new(now);
        assert_eq!((0..2 * BURST).filter(|_| bucket.takes(now)).count(), BURST as usize);
        let later = now + Duration::from_secs(1);
        assert_eq!((0..BURST).filter(|_| bucket.takes(later)).count(), RATE as usize);
    }
}
