//! The thread that writes the log, so that nobody else waits for a journal, a disk or a terminal.
//!
//! Invariant: at an end that is none of a signal everything that waits is written, if that takes no longer
//! than [`LAST_LINES`]. Nothing else depends on the log: a process that is killed loses what waits.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::journal::Journal;
use super::queue::{Item, Queue};
use super::text::{Colours, json, pretty};
use crate::config::LogFormat;

/// How long the end of the process may wait for what is left to be written.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The form of own lines.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// The journal's own protocol.
    Journal,
    /// Objects on standard error.
    Json,
    /// Text on standard error.
    Pretty(Colours),
}

/// Where lines go.
#[derive(Debug)]
pub(super) struct Sink {
    form: Form,
    journal: Journal,
    /// A descriptor of our own: who complains there at last needs no lock that the writer may hold.
    stderr: File,
}

/// Has everything written before it is gone.
#[derive(Debug)]
pub(crate) struct LogWriter {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// The journal of this machine, or standard error.
    ///
    /// # Errors
    /// When there is none of what is wanted.
    pub(super) fn new(format: LogFormat) -> io::Result<Self> {
        let journal = Journal::of_this_machine()?;
        let form = match format {
            LogFormat::Journald => {
                journal.is_there()?;
                Form::Journal
            }
            LogFormat::Json => Form::Json,
            LogFormat::Pretty if io::stderr().is_terminal() => Form::Pretty(Colours::Terminal),
            LogFormat::Pretty => Form::Pretty(Colours::None),
        };
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        Ok(Self { form, journal, stderr })
    }

    fn write(&self, item: &Item) -> io::Result<()> {
        let line = match item {
            Item::Own(line) => line,
            Item::Job(entry) => return self.journal.send(entry),
        };
        let text = match self.form {
            Form::Journal => match self.journal.write(line) {
                Ok(()) => return Ok(()),
                // The service manager has standard error too.
                Err(_) => pretty(line, Colours::None),
            },
            Form::Json => json(line),
            Form::Pretty(colours) => pretty(line, colours),
        };
        (&self.stderr).write_all(text.as_bytes())
    }
}

impl LogWriter {
    /// Begins to write what comes.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(super) fn start(queue: Arc<Queue>, sink: Sink) -> io::Result<Self> {
        let work = Arc::clone(&queue);
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || {
            while let Some(item) = work.next() {
                if sink.write(&item).is_err() {
                    work.not_written(&item);
                }
            }
            work.over();
        })?;
        Ok(Self { queue, thread: Some(thread) })
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        if self.queue.close(LAST_LINES)
            && let Some(thread) = self.thread.take()
        {
            // It has ended, or is about to.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use serde_json::Value;
    use tracing::Level;

    use super::super::journal::tests::parsed;
    use super::super::line::Line;
    use super::*;

    /// More than a socket or a pipe takes without a reader.
    const MANY: usize = 3_000;

    fn line(number: usize) -> Line {
        Line::said(Level::INFO, "coordinator::work", format!("line {number} {}", "x".repeat(500)))
    }

    fn started(form: Form, journal: Journal, stderr: UnixStream) -> (Arc<Queue>, LogWriter) {
        let queue = Arc::new(Queue::new());
        let sink = Sink { form, journal, stderr: File::from(OwnedFd::from(stderr)) };
        (Arc::clone(&queue), LogWriter::start(queue, sink).unwrap())
    }

    #[test]
    fn standard_error_that_nobody_reads_holds_up_no_one_and_costs_no_line() {
        let (mut reader, stderr) = UnixStream::pair().unwrap();
        let (queue, writer) = started(Form::Json, Journal::of_this_machine().unwrap(), stderr);
        (0..MANY).for_each(|number| queue.put(line(number)));
        let end = thread::spawn(move || drop(writer));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        end.join().unwrap();
        let said: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(said.len(), MANY);
        for (number, said) in said.iter().enumerate() {
            assert!(said["message"].as_str().unwrap().starts_with(&format!("line {number} ")));
        }
        assert_eq!(queue.own_left_out(), 0);
    }

    #[test]
    fn a_journal_that_is_busy_holds_up_no_one_and_gets_every_line_of_ours_and_of_jobs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let reader = UnixDatagram::bind(&path).unwrap();
        let (_stderr, stderr) = UnixStream::pair().unwrap();
        let (queue, writer) = started(Form::Journal, Journal::at(&path).unwrap(), stderr);
        (0..MANY).for_each(|number| queue.put(line(number)));
        queue.put_of_job(b"MESSAGE=of a job\n".to_vec());
        let mut datagram = vec![0; 64 << 10];
        for number in 0..MANY {
            let length = reader.recv(&mut datagram).unwrap();
            let said = &parsed(&datagram[..length])["MESSAGE"];
            assert!(said.starts_with(&format!("line {number} ")), "{said}");
        }
        let length = reader.recv(&mut datagram).unwrap();
        assert_eq!(&datagram[..length], b"MESSAGE=of a job\n");
        drop(writer);
        assert_eq!((queue.own_left_out(), queue.jobs_left_out()), (0, 0));
    }

    #[test]
    fn a_journal_that_is_gone_leaves_own_lines_on_standard_error_and_counts_those_of_jobs() {
        let dir = tempfile::tempdir().unwrap();
        let (mut reader, stderr) = UnixStream::pair().unwrap();
        let journal = Journal::at(&dir.path().join("gone")).unwrap();
        let (queue, writer) = started(Form::Journal, journal, stderr);
        queue.put(line(1));
        queue.put_of_job(b"MESSAGE=of a job\n".to_vec());
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(text.contains("  INFO line 1 x"), "{text}");
        assert_eq!(queue.jobs_left_out(), 1);
    }
}
