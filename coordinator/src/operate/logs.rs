//! What the agent of a job printed, from its log files: the current one and the one before it.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api_client::JobId;
use tokio::time::sleep;

use crate::explain::find::{Found, look};
use crate::explain::lines::plain;
use crate::explain::log_path;
use crate::output::older;
use crate::present::present;

/// Between two looks at a log that grows.
const LOOK: Duration = Duration::from_millis(250);

/// How much is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// Where the lines go: a terminal does not get what it would obey.
struct Sink {
    is_terminal: bool,
    /// The beginning of a line that is not whole yet, for a terminal.
    line: Vec<u8>,
}

/// A log file that is followed.
struct Followed {
    path: PathBuf,
    file: Option<File>,
    inode: u64,
    at: u64,
}

/// Prints what there is: all, or so many lines from the end.
pub(crate) fn print(state_dir: &Path, job: JobId, tail: Option<usize>) -> io::Result<()> {
    let mut sink = Sink::of_stdout();
    let mut log = Followed::new(log_path(state_dir, job));
    log.print_before(tail, &mut sink)?;
    sink.finish()
}

/// Prints what there is and what comes, until the job has ended; tells how it stands then.
pub(crate) async fn follow(
    state_dir: &Path,
    found: Found,
    tail: Option<usize>,
) -> io::Result<Found> {
    let job = found.job;
    let mut sink = Sink::of_stdout();
    let mut log = Followed::new(log_path(state_dir, job));
    log.print_before(tail, &mut sink)?;
    let mut seen = found;
    // In this order: what was printed before the end was seen is in the file.
    while seen.is_open() {
        log.print_more(&mut sink)?;
        sleep(LOOK).await;
        seen = look(state_dir, job);
    }
    log.print_more(&mut sink)?;
    sink.finish()?;
    Ok(seen)
}

impl Followed {
    const fn new(path: PathBuf) -> Self {
        Self { path, file: None, inode: 0, at: 0 }
    }

    /// Prints the older file and the current one, as they are.
    fn print_before(&mut self, tail: Option<usize>, sink: &mut Sink) -> io::Result<()> {
        let before = older(&self.path);
        let Some(tail) = tail else {
            if let Some(mut file) = present(File::open(before))? {
                sink.take_all(&mut file)?;
            }
            return self.print_more(sink);
        };
        let mut bytes = present(fs::read(before))?.unwrap_or_default();
        if let Some((file, inode)) = self.open()? {
            let mut file = file;
            self.at = file.read_to_end(&mut bytes)? as u64;
            (self.file, self.inode) = (Some(file), inode);
        }
        sink.take(last_lines(&bytes, tail))
    }

    /// Prints what has come since. A log that was rotated is read to its end first; one that is written
    /// again from its beginning, as after a restart of the coordinator, goes on where it was.
    fn print_more(&mut self, sink: &mut Sink) -> io::Result<()> {
        if let Some(file) = &mut self.file
            && file.metadata()?.len() > self.at
        {
            file.seek(SeekFrom::Start(self.at))?;
            self.at += sink.take_all(file)?;
        }
        let newest = present(fs::metadata(&self.path))?.map(|now| now.ino());
        if newest.is_some_and(|inode| self.file.is_none() || inode != self.inode)
            && let Some((mut file, inode)) = self.open()?
        {
            self.at = sink.take_all(&mut file)?;
            (self.file, self.inode) = (Some(file), inode);
        }
        sink.flush()
    }

    fn open(&self) -> io::Result<Option<(File, u64)>> {
        let Some(file) = present(File::open(&self.path))? else { return Ok(None) };
        let inode = file.metadata()?.ino();
        Ok(Some((file, inode)))
    }
}

impl Sink {
    fn of_stdout() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), line: Vec::new() }
    }

    /// Prints what is left of a file; tells how much it was.
    fn take_all(&mut self, file: &mut File) -> io::Result<u64> {
        let mut buffer = vec![0; PIECE];
        let mut taken = 0;
        loop {
            let length = file.read(&mut buffer)?;
            if length == 0 {
                return Ok(taken);
            }
            taken += length as u64;
            self.take(&buffer[..length])?;
        }
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.is_terminal {
            return io::stdout().write_all(bytes);
        }
        self.line.extend_from_slice(bytes);
        let Some(end) = self.line.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let whole: Vec<u8> = self.line.drain(..=end).collect();
        let mut stdout = io::stdout().lock();
        for line in String::from_utf8_lossy(&whole).lines() {
            writeln!(stdout, "{}", plain(line))?;
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        io::stdout().flush()
    }

    /// Prints a last line that has no end.
    fn finish(mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.line);
        if !rest.is_empty() {
            writeln!(io::stdout(), "{}", plain(&String::from_utf8_lossy(&rest)))?;
        }
        self.flush()
    }
}

/// The end of a text: so many lines, of which the last may have no end.
fn last_lines(bytes: &[u8], count: usize) -> &[u8] {
    let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if count == 0 {
        return &[];
    }
    let ends = whole.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let start = ends.map(|(at, _)| at + 1).nth(count - 1).unwrap_or(0);
    &bytes[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole_lines() {
        let text = b"one\ntwo\nthree\n";
        assert_eq!(last_lines(text, 2), b"two\nthree\n");
        assert_eq!(last_lines(text, 9), text);
        assert_eq!(last_lines(text, 0), b"");
        assert_eq!(last_lines(b"one\ntwo", 1), b"two");
        assert_eq!(last_lines(b"", 3), b"");
    }
}
