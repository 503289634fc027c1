//! What the jobs of a cache fetched of a repository before, kept as packs in the cache volume.
//!
//! Invariant: a mirror only ever makes a clone cheaper. It belongs to root alone and no worker's user can
//! look into it; a worker that is root by way of a Docker engine can, so nothing in it is trusted:
//! it holds no configuration and no refs, packs are copied (never linked, for the work tree changes
//! hands) and indexed anew from their content, and the remote is asked in each run for what its branches
//! are. Whatever is wrong with it, it is emptied and the clone is made without it.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use git2::{ObjectType, Oid};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::fchown;
use tokio::task::spawn_blocking;

use crate::git::{CommitId, RepoUrl};
use crate::user::ownership::{Owner, folder_within, open_folder};

/// The folder of all mirrors, in the cache.
const FOLDER: &str = "git";
/// Most packs of a mirror: each run that finds something new adds one or two.
const PACKS_MAX: usize = 32;
/// Most bytes of a mirror.
const BYTES_MAX: u64 = 8 << 30;
/// Most commits that a clone tells the remote of.
const TIPS_MAX: usize = 32;
/// How long another job is waited for that reads or writes the same mirror.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause between tries.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a mirror stays that nobody uses.
const UNUSED_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// The mirror of one repository.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    folder: PathBuf,
    patience: Duration,
}

/// What a mirror brought into a clone.
#[derive(Debug)]
pub(super) struct Seeds {
    /// The packs, in the clone.
    pub(super) packs: Vec<PathBuf>,
    /// Commits that are in them.
    pub(super) tips: Vec<CommitId>,
}

impl Mirror {
    /// The mirror of a repository in this cache, which is made if it is absent; nothing where there is
    /// no cache or it cannot be used, which is no reason for a run to fail.
    pub(crate) fn open(cache: &Path, url: &RepoUrl) -> Option<Self> {
        if !cache.is_dir() {
            return None;
        }
        match Self::make(cache, url) {
            Ok(mirror) => Some(mirror),
            Err(error) => {
                tracing::warn!(%error, "the git mirrors in {} cannot be used", cache.display());
                None
            }
        }
    }

    fn make(cache: &Path, url: &RepoUrl) -> io::Result<Self> {
        let name = Oid::hash_object(ObjectType::Blob, url.as_str().as_bytes());
        let name = name.map_err(io::Error::other)?.to_string();
        let open = open_folder(cache)?;
        keep(&open, 0o755)?;
        let all = folder_within(&open, FOLDER)?;
        keep(&all, 0o700)?;
        keep(&folder_within(&all, &name)?, 0o700)?;
        let all = cache.join(FOLDER);
        forget_unused(&all, &name);
        Ok(Self { folder: all.join(name), patience: PATIENCE })
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether nothing was kept in it yet.
    pub(super) fn is_empty(&self) -> bool {
        pack_names(&self.folder).is_ok_and(|names| names.is_empty())
    }

    /// Copies the packs into the folder of packs of a clone; nothing if there are none.
    pub(super) async fn seed(&self, packs: &Path) -> io::Result<Option<Seeds>> {
        let (mirror, packs) = (self.clone(), packs.to_owned());
        on_thread(move || mirror.copy_out(&packs)).await
    }

    /// Keeps the packs of a clone that are new, and remembers that these commits are in them.
    pub(super) async fn keep(&self, packs: &Path, tips: &[CommitId]) -> io::Result<()> {
        let (mirror, packs, tips) = (self.clone(), packs.to_owned(), tips.to_vec());
        on_thread(move || mirror.copy_in(&packs, tips)).await
    }

    /// Removes all that is in it.
    pub(super) async fn empty(&self) -> io::Result<()> {
        let mirror = self.clone();
        on_thread(move || {
            let _lock = mirror.lock(Access::Write)?;
            mirror.remove_files(|_| false)
        })
        .await
    }

    fn copy_out(&self, into: &Path) -> io::Result<Option<Seeds>> {
        let lock = self.lock(Access::Read)?;
        // By its time, a mirror that is used is told from one that is not.
        lock.set_modified(SystemTime::now())?;
        let names = pack_names(&self.folder)?;
        if names.is_empty() {
            return Ok(None);
        }
        if names.len() > PACKS_MAX {
            return Err(io::Error::other(format!("it has more than {PACKS_MAX} packs")));
        }
        let (mut packs, mut left) = (Vec::new(), BYTES_MAX);
        for name in names {
            let pack = into.join(&name);
            left = left.saturating_sub(copy(&self.folder.join(name), &pack, left)?);
            packs.push(pack);
        }
        Ok(Some(Seeds { packs, tips: self.tips()? }))
    }

    fn copy_in(&self, from: &Path, mut tips: Vec<CommitId>) -> io::Result<()> {
        let _lock = self.lock(Access::Write)?;
        let known = pack_names(&self.folder)?;
        self.remove_files(|name| name == "tips" || known.iter().any(|pack| name == pack.as_str()))?;
        for name in pack_names(from)?.into_iter().filter(|name| !known.contains(name)) {
            let file = tempfile::NamedTempFile::new_in(&self.folder)?;
            copy_to(&from.join(&name), file.as_file(), BYTES_MAX)?;
            file.persist(self.folder.join(name))?;
        }
        tips.extend(self.tips()?.into_iter().filter(|old| !tips.contains(old)).collect::<Vec<_>>());
        tips.truncate(TIPS_MAX);
        let text: String = tips.iter().map(|tip| format!("{tip}\n")).collect();
        let file = tempfile::NamedTempFile::new_in(&self.folder)?;
        fs::write(file.path(), text)?;
        file.persist(self.folder.join("tips"))?;
        Ok(())
    }

    fn tips(&self) -> io::Result<Vec<CommitId>> {
        let mut text = String::new();
        match open_file(&self.folder.join("tips")) {
            Ok(file) => file.take(41 * TIPS_MAX as u64).read_to_string(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Removes what is not to stay: a copy, too, that an earlier job was killed at. The lock is held.
    fn remove_files(&self, stays: impl Fn(&OsStr) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            match entry.file_type()?.is_dir() {
                _ if name == "lock" || stays(&name) => {}
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }

    /// Waits for the lock, which ends with the file.
    fn lock(&self, access: Access) -> io::Result<File> {
        let file = lock_file(&self.folder)?;
        let since = Instant::now();
        loop {
            let taken = match access {
                Access::Read => file.try_lock_shared(),
                Access::Write => file.try_lock(),
            };
            match taken {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if since.elapsed() > self.patience => {
                    let waited = self.patience.as_secs();
                    return Err(io::Error::other(format!("another job held it for {waited} s")));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            }
        }
    }
}

/// What a lock is for.
#[derive(Clone, Copy)]
enum Access {
    /// Others may read as well.
    Read,
    /// Nobody else may do anything.
    Write,
}

/// Makes a folder ours, with this mode.
fn keep(folder: &OwnedFd, mode: u32) -> io::Result<()> {
    let ours = Owner::ourselves();
    fchown(folder, Some(ours.uid), Some(ours.gid))?;
    Ok(fchmod(folder, Mode::from_bits_truncate(mode))?)
}

/// Removes the mirrors that nobody used for long. One that cannot be removed is in nobody's way.
fn forget_unused(all: &Path, own: &str) {
    let Ok(entries) = fs::read_dir(all) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name() != own) {
        let unused = || {
            let lock = lock_file(&entry.path()).ok()?;
            let age = lock.metadata().ok()?.modified().ok()?.elapsed().ok()?;
            (age > UNUSED_MAX && lock.try_lock().is_ok()).then_some(lock)
        };
        if let Some(_lock) = unused() {
            tracing::info!(mirror = %entry.path().display(), "removing a mirror that is not used");
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(%error, "it is left");
            }
        }
    }
}

fn lock_file(mirror: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | special_flags();
    let folder = open_folder(mirror)?;
    Ok(File::from(openat(&folder, "lock", flags, Mode::from_bits_truncate(0o600))?))
}

/// The names of the packs in a folder.
fn pack_names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().into_string();
        let is_pack = |name: &String| {
            let hash = name.strip_prefix("pack-").and_then(|name| name.strip_suffix(".pack"));
            hash.is_some_and(|hash| hash.len() == 40 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        names.extend(name.ok().filter(is_pack));
    }
    names.sort();
    Ok(names)
}

/// Copies a file to one that must not exist; its size.
fn copy(from: &Path, to: &Path, most: u64) -> io::Result<u64> {
    copy_to(from, &File::create_new(to)?, most)
}

fn copy_to(from: &Path, mut to: &File, most: u64) -> io::Result<u64> {
    let mut from = open_file(from)?;
    if from.metadata()?.len() > most {
        return Err(io::Error::other("it is larger than a mirror may be"));
    }
    io::copy(&mut from, &mut to)
}

/// Opens a regular file. What is anything else was not put there by us.
fn open_file(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(special_flags().bits()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other(format!("{} is no file", path.display()))),
    }
}

/// A link is not followed, and a pipe not waited for.
fn special_flags() -> OFlag {
    OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC
}

async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::from).flatten()
}

#[cfg(test)]
mod tests;
