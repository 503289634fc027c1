//! What a coding CLI keeps of its session, as an archive from which a later run's CLI goes on.
//!
//! Invariant: the archive is written and unpacked as the worker's user, so that it holds nothing which that user
//! may not read, and writes nothing where it may not; plain files and folders below its home are all that is in
//! it, and it is bounded.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::Worker;
use super::listener::Memory;

/// By its place: in a folder of `PATH` there may be another one.
const PROGRAM: &str = "/bin/tar";

/// Largest archive, in bytes.
const SIZE_MAX: u64 = 64 << 20;

/// How long it may take to write or unpack one.
const LIMIT: Duration = Duration::from_secs(30);

/// A session, as far as it is not in its files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptSession {
    /// The CLI that it is one of.
    cli: String,
    /// The work tree that it is about: CLIs file sessions by it.
    tree: PathBuf,
    memory: Memory,
}

/// Why a session is not gone on with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// It has no files that could be kept, or said no name.
    #[error("{cli} keeps no session that another run could go on with")]
    None {
        /// The CLI.
        cli: &'static str,
    },
    /// It was not kept.
    #[error("there is none of an earlier try")]
    Missing,
    /// It is another CLI's.
    #[error("it is a session of {0}")]
    OfAnother(String),
    /// It would not be found.
    #[error("it is of a work tree at {}, and this one is elsewhere", .0.display())]
    Elsewhere(PathBuf),
    /// The archive has something else than plain files in it.
    #[error("it holds {0}, which is no plain file below its home")]
    NotPlain(String),
    /// It is too large.
    #[error("it has more than {} MiB", SIZE_MAX >> 20)]
    TooLarge,
    /// It took too long.
    #[error("{PROGRAM} took longer than {} s", LIMIT.as_secs())]
    TimedOut,
    /// The program failed, or cannot be run.
    #[error("{PROGRAM} cannot {attempted} it")]
    Archive {
        /// What was attempted.
        attempted: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Worker {
    /// The session as it is between two turns, with an archive of its files.
    ///
    /// # Errors
    /// When it cannot be kept; a later run then begins a new one.
    pub(crate) async fn keep_session(&self) -> Result<(KeptSession, Vec<u8>), SessionError> {
        let cli = self.adapter.program();
        let is_there = |name: &&&str| self.home.join(name).symlink_metadata().is_ok();
        let names: Vec<&str> =
            self.adapter.session_files().iter().filter(is_there).copied().collect();
        if self.memory.session.is_none() || names.is_empty() {
            return Err(SessionError::None { cli });
        }
        let archive = timeout(LIMIT, self.pack(&names)).await;
        let archive = archive.map_err(|_| SessionError::TimedOut)??;
        all_plain(&archive)?;
        let (tree, memory) = (self.tree.clone(), self.memory.clone());
        Ok((KeptSession { cli: cli.to_owned(), tree, memory }, archive))
    }

    /// Goes on with a session of an earlier run at its next turn.
    ///
    /// # Errors
    /// When that cannot be; the next turn begins a new one.
    pub(crate) async fn take_session(
        &mut self,
        kept: KeptSession,
        archive: &[u8],
    ) -> Result<(), SessionError> {
        if kept.cli != self.adapter.program() {
            return Err(SessionError::OfAnother(kept.cli));
        }
        if kept.tree != self.tree {
            return Err(SessionError::Elsewhere(kept.tree));
        }
        all_plain(archive)?;
        let unpacked = timeout(LIMIT, self.unpack(archive)).await;
        unpacked.map_err(|_| SessionError::TimedOut)??;
        self.memory = kept.memory;
        Ok(())
    }

    async fn pack(&self, names: &[&str]) -> Result<Vec<u8>, SessionError> {
        let failed = |source| SessionError::Archive { attempted: "write", source };
        let arguments = ["--create", "--file=-", "--"].iter().chain(names).map(OsString::from);
        let mut command = self.archiver(arguments).map_err(failed)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(failed)?;
        let mut archive = Vec::new();
        if let Some(stdout) = process.stdout.take() {
            stdout.take(SIZE_MAX + 1).read_to_end(&mut archive).await.map_err(failed)?;
        }
        if archive.len() as u64 > SIZE_MAX {
            return Err(SessionError::TooLarge);
        }
        ended_well(process).await.map_err(failed)?;
        Ok(archive)
    }

    async fn unpack(&self, archive: &[u8]) -> Result<(), SessionError> {
        let failed = |source| SessionError::Archive { attempted: "unpack", source };
        let arguments = ["--extract", "--file=-", "--no-same-owner"].map(OsString::from);
        let mut command = self.archiver(arguments).map_err(failed)?;
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut process = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = process.stdin.take() {
            stdin.write_all(archive).await.map_err(failed)?;
        }
        ended_well(process).await.map_err(failed)
    }

    /// The program in the worker's home, as the worker's user.
    fn archiver(&self, arguments: impl IntoIterator<Item = OsString>) -> io::Result<Command> {
        let mut command = match &self.user {
            Some(user) => user.probe_command(Path::new(PROGRAM))?,
            None => Command::new(PROGRAM),
        };
        command.arg("--directory").arg(&self.home).args(arguments).env_clear();
        command.current_dir(&self.home).stderr(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }
}

/// With 1 it says that a file, such as a log, was written while it was read.
async fn ended_well(mut process: Child) -> io::Result<()> {
    let status = process.wait().await?;
    match status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(io::Error::other(format!("it ended with {status}"))),
    }
}

/// Makes sure that an archive has plain files and folders in it, by names below where it is unpacked.
fn all_plain(archive: &[u8]) -> Result<(), SessionError> {
    let failed = |source| SessionError::Archive { attempted: "read", source };
    for entry in tar::Archive::new(archive).entries().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path().map_err(failed)?;
        let kind = entry.header().entry_type();
        let below = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !below || !(kind.is_file() || kind.is_dir()) {
            return Err(SessionError::NotPlain(path.display().to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(change: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        change(&mut builder);
        builder.into_inner().unwrap()
    }

    fn file(builder: &mut tar::Builder<Vec<u8>>, path: &str, kind: tar::EntryType) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        // Straight into the header: the builder itself refuses such names.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, io::empty()).unwrap();
    }

    #[test]
    fn an_archive_with_links_or_with_names_from_outside_is_refused() {
        let plain = archive(|all| {
            file(all, ".claude/projects/", tar::EntryType::Directory);
            file(all, ".claude/projects/a.jsonl", tar::EntryType::Regular);
        });
        all_plain(&plain).unwrap();
        for (path, kind) in [
            ("a", tar::EntryType::Symlink),
            ("a", tar::EntryType::Link),
            ("a", tar::EntryType::Fifo),
            ("/etc/passwd", tar::EntryType::Regular),
            ("../a", tar::EntryType::Regular),
            ("a/../../b", tar::EntryType::Regular),
        ] {
            let bad = archive(|all| file(all, path, kind));
            let refused = all_plain(&bad).unwrap_err();
            assert!(matches!(refused, SessionError::NotPlain(_)), "{path}: {refused}");
        }
        all_plain(
            b"no archive at all, but as long as the first block of one would have to be: it is not",
        )
        .unwrap_err();
    }
}
