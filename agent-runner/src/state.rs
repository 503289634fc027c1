//! The folder in which a run leaves what the next one of its ticket needs to go on.
//!
//! Invariants: a file is there as a whole or not at all, and on the disk when a write returns. One run at a time
//! has the folder. All of it is ours alone to read and write: where the worker has a user of its own, that user
//! has no way in.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::geteuid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

/// Longest document, in bytes.
const DOCUMENT_MAX: u64 = 1 << 20;

/// How often it is looked whether the run that has the folder is gone.
const LOOK: Duration = Duration::from_millis(250);

const LOCK: &str = "lock";

/// How the name of a file ends that is not yet whole.
const NEW: &str = "new";

/// A folder that this run has.
#[derive(Debug)]
pub(crate) struct StateFolder {
    path: PathBuf,
    /// Whoever writes: a file that is half written is nobody else's to replace.
    writing: Mutex<()>,
    _lock: Flock<File>,
}

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// The system said no.
    #[error("cannot {attempted} {}; check AGENT_STATE_DIR", path.display())]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Another run has it.
    #[error("{} is in use by another run of the same ticket", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It could be another's, who would have a say in what we do.
    #[error("{} is not ours alone: it belongs to user {owner}", path.display())]
    NotOurs {
        /// The folder or file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// A file is not what it should be.
    #[error("{} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl StateFolder {
    /// Takes the folder, which is made where it is not there. A run that has it, and is being ended, has so much
    /// time to go.
    ///
    /// # Errors
    /// When it cannot be made, is another's, or another run keeps it.
    pub(crate) async fn take(path: &Path, wait: Duration) -> Result<Self, StateError> {
        let path = path.to_owned();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(failed("make", &path))?;
        let owner = fs::symlink_metadata(&path).map_err(failed("look at", &path))?.uid();
        if owner != geteuid().as_raw() {
            return Err(StateError::NotOurs { path, owner });
        }
        let path = fs::canonicalize(&path).map_err(failed("look at", &path))?;
        // An engine makes a volume's folder for everybody to look into.
        let ours = fs::set_permissions(&path, Permissions::from_mode(0o700));
        ours.map_err(failed("keep others out of", &path))?;
        let lock = options().read(true).create(true).truncate(false).open(path.join(LOCK));
        let mut lock = lock.map_err(failed("write in", &path))?;
        let until = Instant::now() + wait;
        loop {
            lock = match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => {
                    remove_halves(&path).map_err(failed("clean up", &path))?;
                    return Ok(Self { path, writing: Mutex::default(), _lock: lock });
                }
                Err((lock, Errno::EWOULDBLOCK)) if Instant::now() < until => lock,
                Err((_, Errno::EWOULDBLOCK)) => return Err(StateError::InUse { path }),
                Err((_, errno)) => return Err(failed("lock", &path)(errno.into())),
            };
            sleep(LOOK).await;
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A document; nothing where there is none.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub(crate) fn document<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<T>, StateError> {
        let Some(file) = self.open(name)? else { return Ok(None) };
        let path = self.path.join(name);
        let mut bytes = Vec::new();
        file.take(DOCUMENT_MAX).read_to_end(&mut bytes).map_err(failed("read", &path))?;
        let read = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|error| StateError::Unreadable { path, why: error.to_string() })
    }

    /// A file, to be read; nothing where there is none.
    ///
    /// # Errors
    /// When there is one that cannot be read, or that somebody else made.
    pub(crate) fn open(&self, name: &str) -> Result<Option<File>, StateError> {
        let path = self.path.join(name);
        let mut open = OpenOptions::new();
        let file = match open.read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed("read", &path))?,
        };
        let owner = file.metadata().map_err(failed("look at", &path))?.uid();
        match owner == geteuid().as_raw() {
            true => Ok(Some(file)),
            false => Err(StateError::NotOurs { path, owner }),
        }
    }

    /// Puts a document in the place of the one before.
    ///
    /// # Errors
    /// When it cannot be written; the one before is there then.
    pub(crate) fn set_document<T: Serialize>(
        &self,
        name: &str,
        document: &T,
    ) -> Result<(), StateError> {
        self.set_file(name, |file| Ok(serde_json::to_writer(file, document)?))
    }

    /// Puts a file with this content in the place of the one before. The content is made when it is this file's turn:
    /// of two writes the later one has the newer content.
    ///
    /// # Errors
    /// When it cannot be written; the one before is there then, and nothing of the new one.
    pub(crate) fn set_file(
        &self,
        name: &str,
        content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), StateError> {
        let (path, new) = (self.path.join(name), self.path.join(format!("{name}.{NEW}")));
        let _ours = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let write = || {
            let file = options().create(true).truncate(true).open(&new)?;
            let mut file = BufWriter::new(file);
            content(&mut file)?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| {
            // Half of it would take the place that the worker needs.
            if let Err(error) = remove(&new) {
                tracing::warn!(%error, file = %new.display(), "half a file is left");
            }
            StateError::Io { attempted: "write", path: path.clone(), source }
        })
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// When it stays.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StateError> {
        let path = self.path.join(name);
        remove(&path).map_err(failed("remove", &path))
    }
}

/// Whether a later run finds anything in such a folder. That is not known where another run has it, or it cannot be
/// looked into.
pub(crate) fn is_anything_kept_in(path: &Path) -> Option<bool> {
    match File::open(path.join(LOCK)) {
        Ok(lock) => drop(Flock::lock(lock, FlockArg::LockSharedNonblock).ok()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(_) => return None,
    }
    let mut entries = fs::read_dir(path).ok()?;
    Some(entries.any(|entry| entry.map_or(true, |entry| entry.file_name() != LOCK)))
}

/// Removes what a run that was killed was about to write.
fn remove_halves(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == NEW) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError + use<> {
    let path = path.to_owned();
    move |source| StateError::Io { attempted, path, source }
}

/// How a file of ours is written.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    options
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use super::*;

    async fn folder(path: &Path) -> Result<StateFolder, StateError> {
        StateFolder::take(path, Duration::ZERO).await
    }

    #[tokio::test]
    async fn a_document_is_the_last_one_that_was_set_and_others_cannot_read_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(&place.path().join("state")).await.unwrap();
        assert_eq!(folder.document::<u32>("a.json").unwrap(), None);
        folder.set_document("a.json", &1).unwrap();
        folder.set_document("a.json", &2).unwrap();
        assert_eq!(folder.document::<u32>("a.json").unwrap(), Some(2));
        let mode = |name: &str| {
            let about = fs::metadata(place.path().join("state").join(name)).unwrap();
            about.permissions().mode() & 0o777
        };
        assert_eq!((mode(""), mode("a.json")), (0o700, 0o600));
        folder.remove("a.json").unwrap();
        folder.remove("a.json").unwrap();
        assert_eq!(folder.document::<u32>("a.json").unwrap(), None);
    }

    #[tokio::test]
    async fn one_run_at_a_time_has_the_folder_and_the_next_one_waits_for_it() {
        let place = tempfile::tempdir().unwrap();
        let first = folder(place.path()).await.unwrap();
        assert!(matches!(folder(place.path()).await, Err(StateError::InUse { .. })));
        let next = StateFolder::take(place.path(), Duration::from_secs(60));
        let (next, ()) = tokio::join!(next, async { drop(first) });
        next.unwrap();
    }

    #[tokio::test]
    async fn whether_anything_is_kept_is_told_where_it_is_known() {
        let place = tempfile::tempdir().unwrap();
        let kept = || is_anything_kept_in(place.path());
        assert_eq!(kept(), Some(false));
        let folder = folder(place.path()).await.unwrap();
        assert_eq!(kept(), None, "a run has it");
        folder.set_document("a.json", &1).unwrap();
        drop(folder);
        assert_eq!(kept(), Some(true));
        fs::remove_file(place.path().join("a.json")).unwrap();
        assert_eq!(kept(), Some(false), "the lock is nothing");
        assert_eq!(is_anything_kept_in(&place.path().join("none")), None);
    }

    #[tokio::test]
    async fn a_write_that_fails_leaves_the_old_file_and_nothing_of_the_new_one() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(place.path()).await.unwrap();
        folder.set_document("a.json", &1).unwrap();
        let full = |file: &mut BufWriter<File>| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        folder.set_file("a.json", full).unwrap_err();
        assert_eq!(folder.document::<u32>("a.json").unwrap(), Some(1));
        let names = fs::read_dir(place.path()).unwrap().count();
        assert_eq!(names, 2, "the lock and the document");
    }

    #[tokio::test]
    async fn half_a_file_of_a_run_that_was_killed_is_nothing_that_is_kept() {
        let place = tempfile::tempdir().unwrap();
        drop(folder(place.path()).await.unwrap());
        fs::write(place.path().join("a.json.new"), "{").unwrap();
        drop(folder(place.path()).await.unwrap());
        assert_eq!(is_anything_kept_in(place.path()), Some(false));
    }

    #[tokio::test]
    async fn those_who_write_at_the_same_time_lose_nothing() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(place.path()).await.unwrap();
        std::thread::scope(|scope| {
            for name in ["a.json", "a.json", "b.json"] {
                let folder = &folder;
                scope.spawn(move || {
                    for one in 0..50 {
                        folder.set_document(name, &one).unwrap();
                    }
                });
            }
        });
        assert_eq!(folder.document::<u32>("a.json").unwrap(), Some(49));
        assert_eq!(folder.document::<u32>("b.json").unwrap(), Some(49));
    }

    #[tokio::test]
    async fn a_link_and_half_a_document_are_no_state() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(place.path()).await.unwrap();
        symlink("/etc/hostname", place.path().join("a.json")).unwrap();
        assert!(matches!(folder.document::<u32>("a.json"), Err(StateError::Io { .. })));
        fs::write(place.path().join("b.json"), "{\"version\":").unwrap();
        let half = folder.document::<serde_json::Value>("b.json");
        assert!(matches!(half, Err(StateError::Unreadable { .. })));
    }
}
