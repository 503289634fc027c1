//! Files of jobs in the state directory.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use api_client::JobId;
use nix::sys::signal::Signal;

use crate::keeper::{folders, kill_scope, read_runner, remove_notes};

/// A log of a job, or the folder of its keeper's notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JobFile {
    pub(super) job: JobId,
    pub(super) path: PathBuf,
    pub(super) kind: FileKind,
    pub(super) modified: SystemTime,
    /// Of a log.
    pub(super) bytes: u64,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Log,
    Notes,
}

impl JobFile {
    /// Whether it is of no use once its job is settled.
    pub(super) fn is_note(&self) -> bool {
        self.kind == FileKind::Notes
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match self.kind {
            FileKind::Log => fs::remove_file(&self.path),
            FileKind::Notes => {
                // An agent that no record knows of is no one's any more.
                for notes in folders(&self.path) {
                    if let Some(agent) = read_runner(&notes) {
                        agent.signal_group(Signal::SIGKILL);
                    }
                    kill_scope(&notes);
                }
                remove_notes(&self.path)
            }
        }
    }
}

impl fmt::Display for JobFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} KiB)", self.path.display(), self.bytes.div_ceil(1024))
    }
}

/// All of them. What cannot be looked at is left alone.
pub(super) fn job_files(state_dir: &Path) -> Vec<JobFile> {
    let logs = list(&state_dir.join("logs"), FileKind::Log);
    let notes = list(&state_dir.join("host"), FileKind::Notes);
    logs.into_iter().chain(notes).collect()
}

fn list(dir: &Path, kind: FileKind) -> Vec<JobFile> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let file = |entry: fs::DirEntry| {
        let path = entry.path();
        let job = path.file_name()?.to_str()?.split('.').next()?.parse().ok()?;
        let about = entry.metadata().ok()?;
        let bytes = if kind == FileKind::Log { about.len() } else { 0 };
        Some(JobFile { job, path, kind, modified: about.modified().ok()?, bytes })
    };
    entries.filter_map(Result::ok).filter_map(file).collect()
}
