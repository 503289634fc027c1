//! The output of jobs on its way to the journal: a line of it is an entry with the job's ids.
//!
//! Invariants: a job never waits for the journal; what comes here was redacted before.

use std::sync::Arc;

use super::journal::{Entry, priority, up_to};
use super::queue::Queue;
use crate::ledger::Record;

/// What the lines are filed under.
const IDENTIFIER: &str = "terarchitect-agent";

/// Longest line, in bytes; what is longer is several.
const LINE_MAX: usize = 8 << 10;

/// The output of one job on its way.
#[derive(Debug)]
pub(crate) struct JobLines {
    ids: Vec<(&'static str, String)>,
    partial: String,
    /// Bytes that were taken before, by an earlier process.
    known: u64,
    queue: Arc<Queue>,
}

impl JobLines {
    pub(super) fn of(record: &Record, queue: Arc<Queue>) -> Self {
        let mut ids = vec![("job.id", record.job.job_id.to_string())];
        if let Some(ticket) = record.job.ticket {
            ids.push(("ticket.id", ticket.ticket_id.to_string()));
            ids.push(("project.id", ticket.project_id.to_string()));
        }
        ids.extend(record.container.as_ref().map(|id| ("container.id", id.to_string())));
        Self { ids, partial: String::new(), known: 0, queue }
    }

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
            self.queue.put_of_job(entry.into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use api_client::JobId;

    use super::super::journal::tests::parsed;
    use super::super::queue::Item;
    use super::*;
    use crate::ledger::JobRef;

    fn record() -> Record {
        Record::claimed(JobRef::unreadable(JobId::random()), None, 0)
    }

    fn entries(queue: &Queue) -> Vec<BTreeMap<String, String>> {
        queue.close(Duration::ZERO);
        let next = || match queue.next()? {
            Item::Job(entry) => Some(parsed(&entry)),
            Item::Own(line) => panic!("{line:?}"),
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn each_line_is_an_entry_with_the_ids_of_its_job() {
        let (queue, record) = (Arc::new(Queue::new()), record());
        let mut lines = JobLines::of(&record, Arc::clone(&queue));
        for piece in ["one\ntw", "o \u{1b}[31m\r\n\nthree"] {
            lines.push(piece);
        }
        lines.finish();
        let entries = entries(&queue);
        for entry in &entries {
            assert_eq!(entry["JOB_ID"], record.job.job_id.to_string());
            assert_eq!(entry["SYSLOG_IDENTIFIER"], IDENTIFIER);
        }
        let said: Vec<_> = entries.iter().map(|entry| entry["MESSAGE"].as_str()).collect();
        assert_eq!(said, ["one", "two  [31m", "three"]);
    }

    #[test]
    fn a_line_without_end_is_cut_and_what_an_earlier_process_took_is_not_taken_again() {
        let queue = Arc::new(Queue::new());
        let mut lines = JobLines::of(&record(), Arc::clone(&queue)).skip(4);
        lines.push("éé");
        lines.push(&"é".repeat(LINE_MAX));
        let lengths: Vec<_> = entries(&queue).iter().map(|entry| entry["MESSAGE"].len()).collect();
        assert_eq!(lengths, [LINE_MAX, LINE_MAX]);
    }
}
