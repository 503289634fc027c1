//! What a keeper writes down for whoever supervises the job: its own
//! process, the agent's, and its end; and what the agent left of its run. Files of one folder, each whole or not there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ledger::{Existing, HostProcess, LedgerError, write_durably, write_json};

/// How an agent on this host ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub(crate) enum HostNote {
    /// Its process ended; 128 + n for signal n.
    Ended {
        code: i64,
        /// Whether the kernel ended a process of it for want of memory, where that is known.
        #[serde(default)]
        out_of_memory: bool,
    },
    /// It never had its job document.
    NeverBegan { problem: String },
}

/// Writes down the keeper's own process, for whoever has lost the job's record.
pub(super) fn write_keeper(dir: &Path) -> Result<(), LedgerError> {
    match HostProcess::of(std::process::id().cast_signed()) {
        Some(keeper) => write_json(&keeper_file(dir), &keeper),
        None => Ok(()),
    }
}

/// Writes down the agent's process.
pub(super) fn write_runner(dir: &Path, runner: &HostProcess) -> Result<(), LedgerError> {
    write_json(&runner_file(dir), runner)
}

/// Writes down how the agent ended.
pub(super) fn write_end(dir: &Path, end: &HostNote) -> Result<(), LedgerError> {
    write_json(&end_file(dir), end)
}

/// Keeps what the agent left, in a file of the folder.
pub(super) fn write_text(dir: &Path, file: &Path, text: &str) -> Result<(), LedgerError> {
    write_durably(dir, file, text.as_bytes(), Existing::Replace)
}

/// The keeper's process, once it has begun.
pub(crate) fn read_keeper(dir: &Path) -> Option<HostProcess> {
    read(&keeper_file(dir))
}

/// The agent's process, once it was started.
pub(crate) fn read_runner(dir: &Path) -> Option<HostProcess> {
    read(&runner_file(dir))
}

/// How the agent ended, once it has.
pub(crate) fn read_end(dir: &Path) -> Option<HostNote> {
    read(&end_file(dir))
}

/// Where the agent's outcome is, once it has ended; its keeper takes it out of the agent's temporary
/// files.
pub(crate) fn outcome_file(dir: &Path) -> PathBuf {
    dir.join("outcome.json")
}

/// Where what the agent took down of its CLI is, in the same way.
pub(crate) fn transcript_file(dir: &Path) -> PathBuf {
    dir.join("transcript.jsonl")
}

/// The folders of all keepers that a job has had.
pub(crate) fn folders(of_job: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(of_job) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The folder that was written to last; that of the job itself where there is none.
pub(crate) fn latest(of_job: &Path) -> PathBuf {
    let written = |path: &PathBuf| fs::metadata(path).and_then(|about| about.modified()).ok();
    folders(of_job).into_iter().max_by_key(written).unwrap_or_else(|| of_job.to_owned())
}

/// Removes a folder of notes, with the agent's temporary files in it; an absent one is as good. An agent
/// may have left folders that even their owner may not change.
///
/// The standard library goes one call deeper for each level, and an agent can make more of them than a
/// stack has room for; the system's programs do not, and follow no link either.
pub(crate) fn remove_notes(dir: &Path) -> io::Result<()> {
    if !dir.try_exists()? {
        return Ok(());
    }
    run("/bin/rm", &["-rf", "--"], dir).or_else(|_| {
        // Whether or not all could be opened, the removal tells.
        let _opened = run("/bin/chmod", &["-R", "u+rwX", "--"], dir);
        run("/bin/rm", &["-rf", "--"], dir)
    })
}

fn run(program: &str, arguments: &[&str], dir: &Path) -> io::Result<()> {
    let mut command = Command::new(program);
    command.env_clear().args(arguments).arg(dir).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{program} ended with {status}")))
}

fn keeper_file(dir: &Path) -> PathBuf {
    dir.join("keeper.json")
}

fn runner_file(dir: &Path) -> PathBuf {
    dir.join("runner.json")
}

fn end_file(dir: &Path) -> PathBuf {
    dir.join("end.json")
}

/// A note that cannot be read is as good as none: the process tells the rest.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use nix::fcntl::{OFlag, open, openat};
    use nix::sys::stat::{Mode, mkdirat};

    use super::*;

    /// More levels than [`STACK`] has room for at 160 bytes each, and than a path may have.
    const DEEP: usize = 2_500;

    /// Size of a stack, in bytes: a full one of 2 MiB would take six times as many levels, and their making
    /// takes the square of that.
    const STACK: usize = 256 << 10;

    #[test]
    fn folders_as_deep_as_an_agent_likes_are_removed() {
        // In memory: each level is an entry in the journal of a disk.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let notes = dir.path().join("notes");
        fs::create_dir(&notes).unwrap();
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut at: OwnedFd = open(&notes, flags, Mode::empty()).unwrap();
        for _ in 0..DEEP {
            mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
            at = openat(&at, "d", flags, Mode::empty()).unwrap();
        }
        let removal = move || {
            remove_notes(&notes).unwrap();
            assert!(!notes.exists());
        };
        thread::Builder::new().stack_size(STACK).spawn(removal).unwrap().join().unwrap();
    }

    #[test]
    fn folders_that_an_agent_closed_are_removed_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let notes = dir.path().join("notes");
        let inner = notes.join("tmp/module/inner");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("file"), "").unwrap();
        for closed in [inner.as_path(), inner.parent().unwrap()] {
            fs::set_permissions(closed, Permissions::from_mode(0o555)).unwrap();
        }
        remove_notes(&notes).unwrap();
        assert!(!notes.exists());
        remove_notes(&notes).unwrap();
    }

    #[test]
    fn a_note_of_an_earlier_version_is_understood() {
        let note: HostNote = serde_json::from_str(r#"{"end":"ended","code":4}"#).unwrap();
        assert_eq!(note, HostNote::Ended { code: 4, out_of_memory: false });
    }
}
