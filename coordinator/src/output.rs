//! What an agent prints: redacted, made valid UTF-8, kept in a file that cannot grow without
//! bound, with the last part of it in memory for the ticket's log.
//!
//! Memory is bounded by [`TAIL_MAX`] and the pieces in flight, whatever the agent prints.

mod more_secrets;
mod valid;

use std::collections::VecDeque;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use api_client::contract::STARTED_LINE;
use api_client::{Redactor, StreamRedactor};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use self::valid::{End, take_valid};
use crate::activity::Activity;
use crate::logging::JobLines;

pub(crate) use self::more_secrets::MoreSecrets;

/// Size at which a log file is rotated, in bytes; one older file is kept.
const FILE_MAX: u64 = 16 << 20;

/// How much of the end is kept in memory, in bytes.
const TAIL_MAX: usize = 32 << 10;

/// Most that is handed to the disk at once, in bytes.
const WRITE_BUFFER: usize = 64 << 10;

/// How much of the beginning is searched for the line by which the runner says it began.
const HEAD_MAX: usize = 64 << 10;

/// The output of one job.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    file: Option<File>,
    written: u64,
    starts_over: bool,
    redactor: StreamRedactor,
    /// The first bytes of a character that is not complete yet.
    partial: Vec<u8>,
    tail: VecDeque<u8>,
    head: Head,
    activity: Activity,
    more: MoreSecrets,
    journal: Option<JobLines>,
}

/// Whether the runner was seen to begin.
#[derive(Debug)]
enum Head {
    /// Not yet; the output so far.
    Unseen(Vec<u8>, Hearing),
    /// Not in the part that is searched.
    Absent,
    Seen,
}

/// Whether the beginning of an output is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    First,
    Again,
}

impl Output {
    /// Opens the log file of a job (mode 0600), going on where an earlier one ended. A disk that
    /// does not take it costs the file, never the job: it is said once, and the tail is kept.
    pub(crate) async fn open(path: PathBuf, redactor: &Redactor) -> Self {
        let mut output = Self {
            path,
            file: None,
            written: 0,
            starts_over: false,
            redactor: redactor.stream(),
            partial: Vec::new(),
            tail: VecDeque::new(),
            head: Head::Unseen(Vec::new(), Hearing::First),
            activity: Activity::now(),
            more: MoreSecrets::new(redactor),
            journal: None,
        };
        let opened = output.open_file().await;
        output.keep_file_if(opened);
        output
    }

    /// As [`open`](Self::open), for output that will be read again from its beginning: the first
    /// piece replaces what is in the file. Should none come, the file stays.
    pub(crate) async fn open_anew(path: PathBuf, redactor: &Redactor) -> Self {
        let head = Head::Unseen(Vec::new(), Hearing::Again);
        Self { starts_over: true, head, ..Self::open(path, redactor).await }
    }

    /// Goes to the journal as well, if it is to. Of output that is read again, what the files have went
    /// there before.
    pub(crate) async fn and_to(mut self, journal: Option<JobLines>) -> Self {
        let older = fs::metadata(older(&self.path)).await.map_or(0, |older| older.len());
        let known = if self.starts_over { self.written + older } else { 0 };
        self.journal = journal.map(|journal| journal.skip(known));
        self
    }

    /// Takes the next piece.
    pub(crate) async fn push(&mut self, piece: &[u8]) {
        self.activity.touch();
        let more = self.more.take();
        if !more.is_empty() {
            self.redactor.learn(&more);
        }
        // As it came: no secret, whatever it is, hides that the runner has begun.
        self.look_for_begin(piece);
        let text = self.redactor.push(piece);
        self.store(&text, End::Open).await;
    }

    /// Writes what was held back; to be called at the end of the output.
    pub(crate) async fn finish(&mut self) {
        let text = self.redactor.finish();
        self.store(&text, End::Closed).await;
        if let Some(journal) = &mut self.journal {
            journal.finish();
        }
        if let Some(file) = &mut self.file {
            let flushed = file.flush().await;
            self.keep_file_if(flushed);
        }
    }

    /// Whether the runner's first line was seen, or may have been in what was not searched.
    pub(crate) const fn runner_may_have_begun(&self) -> bool {
        !matches!(self.head, Head::Unseen(..))
    }

    /// Where further secrets are told.
    pub(crate) fn more_secrets(&self) -> MoreSecrets {
        self.more.clone()
    }

    /// When the agent last printed something.
    pub(crate) fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// The end of the output.
    pub(crate) fn tail(&self) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        // The front may have been cut within a character.
        String::from_utf8_lossy(&bytes).trim_start_matches('\u{fffd}').to_owned()
    }

    async fn store(&mut self, bytes: &[u8], end: End) {
        let text = take_valid(&mut self.partial, bytes, end);
        if text.is_empty() {
            return;
        }
        self.tail.extend(text.as_bytes());
        let excess = self.tail.len().saturating_sub(TAIL_MAX);
        self.tail.drain(..excess);
        if let Some(journal) = &mut self.journal {
            journal.push(&text);
        }
        let written = self.write(text.as_bytes()).await;
        self.keep_file_if(written);
    }

    async fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if std::mem::take(&mut self.starts_over) {
            self.truncate().await?;
        }
        if self.written >= FILE_MAX {
            self.rotate().await?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(text).await?;
        self.written += text.len() as u64;
        Ok(())
    }

    async fn truncate(&mut self) -> io::Result<()> {
        // Mostly it was not there.
        let _removed = fs::remove_file(older(&self.path)).await;
        self.written = 0;
        match &self.file {
            Some(file) => file.set_len(0).await,
            None => Ok(()),
        }
    }

    async fn rotate(&mut self) -> io::Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.flush().await?;
        fs::rename(&self.path, older(&self.path)).await?;
        self.open_file().await
    }

    async fn open_file(&mut self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).mode(0o600).open(&self.path).await?;
        file.set_max_buf_size(WRITE_BUFFER);
        self.written = file.metadata().await?.len();
        self.file = Some(file);
        Ok(())
    }

    fn keep_file_if(&mut self, done: io::Result<()>) {
        if let Err(error) = done {
            tracing::warn!(path = %self.path.display(), %error, "the log file of a job is given up");
            self.file = None;
        }
    }

    fn look_for_begin(&mut self, piece: &[u8]) {
        let Head::Unseen(seen, hearing) = &mut self.head else { return };
        seen.extend_from_slice(piece);
        // Anywhere, not only at the start of a line: in doubt the runner has begun.
        if seen.windows(STARTED_LINE.len()).any(|part| part == STARTED_LINE.as_bytes()) {
            if *hearing == Hearing::First {
                tracing::info!("agent begun");
            }
            self.head = Head::Seen;
        } else if seen.len() > HEAD_MAX {
            self.head = Head::Absent;
        }
    }
}

/// The end of a job's log file, as it was kept: redacted. Empty where there is none.
pub(crate) async fn tail_of_file(path: &Path) -> String {
    let read = async {
        let mut file = File::open(path).await?;
        let start = file.metadata().await?.len().saturating_sub(TAIL_MAX as u64);
        file.seek(SeekFrom::Start(start)).await?;
        let mut bytes = Vec::new();
        file.take(TAIL_MAX as u64).read_to_end(&mut bytes).await?;
        Ok::<_, io::Error>(bytes)
    };
    let bytes = read.await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_start_matches('\u{fffd}').to_owned()
}

/// The name of the rotated file.
pub(crate) fn older(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use api_client::Secret;

    use super::*;

    async fn output(dir: &tempfile::TempDir) -> Output {
        let redactor = Redactor::new([&Secret::from("ghp_secret_token")]);
        Output::open(dir.path().join("job.log"), &redactor).await
    }

    #[tokio::test]
    async fn the_file_is_ours_alone_and_holds_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = output(&dir).await;
        output.push(b"a ghp_sec").await;
        output.push(b"ret_token b").await;
        output.finish().await;
        let path = dir.path().join("job.log");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a [redacted] b");
        assert_eq!(output.tail(), "a [redacted] b");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_secret_that_is_told_later_is_hidden_here_and_in_texts_of_other_ways() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = output(&dir).await;
        let secrets = output.more_secrets();
        secrets.tell("ghs_later_token".into());
        output.push(b"ghs_later_token").await;
        output.finish().await;
        assert_eq!(output.tail(), "[redacted]");
        let text = secrets.redact("ghs_later_token, ghp_secret_token");
        assert_eq!(text, "[redacted], [redacted]");
    }

    #[tokio::test]
    async fn much_output_is_bounded_on_disk_and_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = output(&dir).await;
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..50 {
            output.push(&piece).await;
        }
        output.push(b"the end").await;
        output.finish().await;
        let on_disk: u64 = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(on_disk <= 2 * FILE_MAX + (2 << 20), "{on_disk}");
        assert_eq!(output.tail.len(), TAIL_MAX);
        assert!(output.tail().ends_with("the end"));
    }

    #[tokio::test]
    async fn output_that_is_read_again_replaces_the_file_only_when_it_comes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("job.log");
        std::fs::write(&path, "before").unwrap();
        let mut again = Output::open_anew(path.clone(), &Redactor::default()).await;
        again.finish().await;
        assert_eq!(tail_of_file(&path).await, "before");
        again.push(b"all of it").await;
        again.finish().await;
        assert_eq!(tail_of_file(&path).await, "all of it");
    }

    #[tokio::test]
    async fn the_first_line_of_the_runner_is_seen_wherever_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = output(&dir).await;
        output.push(b"exec: no such file\n").await;
        output.finish().await;
        assert!(!output.runner_may_have_begun());
        let (first, second) = STARTED_LINE.split_at(5);
        output.push(format!("an unknown stamp {first}").as_bytes()).await;
        output.push(second.as_bytes()).await;
        output.finish().await;
        assert!(output.runner_may_have_begun());
    }

    #[tokio::test]
    async fn no_secret_hides_that_the_runner_has_begun() {
        let dir = tempfile::tempdir().unwrap();
        let redactor = Redactor::new([&Secret::from("agent-runner")]);
        let mut output = Output::open(dir.path().join("job.log"), &redactor).await;
        output.push(STARTED_LINE.as_bytes()).await;
        output.finish().await;
        assert!(output.runner_may_have_begun());
        assert!(!output.tail().contains("agent-runner"));
    }
}
