//! What is kept of a job in files: at most so much of each.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use api_client::JobId;
use api_client::contract::TRANSCRIPT_MAX_BYTES;

use crate::collect::transcript_path;
use crate::explain::log_path;
use crate::output::older;
use crate::present::present;

/// How much of the end of a log a bundle has, in bytes.
const LOG_MAX: u64 = 8 << 20;

/// The end of the log, with what was rotated; nothing where none is kept.
pub(super) fn log(state_dir: &Path, job: JobId) -> io::Result<Option<String>> {
    let path = log_path(state_dir, job);
    let Some(now) = end_of(&path, LOG_MAX)? else { return Ok(None) };
    let room = LOG_MAX.saturating_sub(now.len() as u64);
    let before = if room > 0 { end_of(&older(&path), room)? } else { None };
    let mut all = before.unwrap_or_default();
    all.extend(now);
    Ok(Some(String::from_utf8_lossy(&all).into_owned()))
}

/// The transcript of the coding CLI; nothing where none is kept.
pub(super) fn transcript(state_dir: &Path, job: JobId) -> io::Result<Option<String>> {
    let path = transcript_path(state_dir, job);
    let Some(file) = present(File::open(path))? else { return Ok(None) };
    let mut bytes = Vec::new();
    // Redaction may have made it longer.
    file.take(2 * TRANSCRIPT_MAX_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The end of a file, from the beginning of a line where it is cut.
fn end_of(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(mut file) = present(File::open(path))? else { return Ok(None) };
    let start = file.metadata()?.len().saturating_sub(most);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    if start > 0 {
        let line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..line);
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_end_is_taken_in_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        std::fs::write(&path, "first\nsecond\nthird\n").unwrap();
        assert_eq!(end_of(&path, 12).unwrap().unwrap(), b"third\n");
        assert_eq!(end_of(&path, 100).unwrap().unwrap(), b"first\nsecond\nthird\n");
        assert_eq!(end_of(&folder.path().join("none"), 100).unwrap(), None);
    }
}
