//! Files of the state directory that are whole or not there, whatever happens: temporary file, fsync,
//! rename, fsync of the directory.
//!
//! What root makes in the state directory of another user (`sudo coordinator gc` beside the packaged unit)
//! belongs to that user, whose daemon has to read it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, fchown, lchown};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use serde::Serialize;

/// How the names of files begin that are being written.
const UNFINISHED: &str = ".tmp";

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}; is the disk full, or the directory not ours?", path.display())]
pub(crate) struct LedgerError {
    pub(super) action: &'static str,
    pub(super) path: PathBuf,
    #[source]
    pub(super) source: io::Error,
}

impl LedgerError {
    /// A file of the state directory that could not be read.
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self { action: "read", path: path.to_owned(), source }
    }
}

/// Makes a directory (and those above it) that only we can read.
pub(crate) fn make_private_dir(dir: &Path) -> Result<(), LedgerError> {
    let make = || {
        let is_new = !dir.exists();
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        match dir.parent().filter(|_| is_new).map(other_owner).transpose()?.flatten() {
            Some((user, group)) => lchown(dir, Some(user), Some(group)),
            None => Ok(()),
        }
    };
    make().map_err(|source| LedgerError { action: "create", path: dir.to_owned(), source })
}

/// Gives a file to whom its directory belongs, where we are root and that is another.
pub(super) fn give_to_owner_of(dir: &Path, file: &File) -> io::Result<()> {
    match other_owner(dir)? {
        Some((user, group)) => fchown(file, Some(user), Some(group)),
        None => Ok(()),
    }
}

/// The user and group of a directory that is another's, where we are root.
fn other_owner(dir: &Path) -> io::Result<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let dir = fs::metadata(dir)?;
    Ok((dir.uid() != 0).then(|| (dir.uid(), dir.gid())))
}

/// Writes a small JSON file in place of an earlier one.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), LedgerError> {
    let text = serde_json::to_vec(value).map_err(|error| LedgerError {
        action: "write",
        path: path.to_owned(),
        source: error.into(),
    })?;
    write_durably(path.parent().unwrap_or(Path::new(".")), path, &text, Existing::Replace)
}

/// Removes what writers that were killed have left of files that were never finished. No one else
/// may be writing there.
pub(super) fn remove_unfinished(dir: &Path) -> Result<(), LedgerError> {
    let failed = |action| move |source| LedgerError { action, path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(failed("list"))? {
        let entry = entry.map_err(failed("list"))?;
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            fs::remove_file(entry.path()).map_err(failed("clean"))?;
        }
    }
    Ok(())
}

/// Does disk work where a slow disk does not hold up what else goes on.
pub(crate) async fn aside<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(LedgerError {
            action: "use",
            path: path.to_owned(),
            source: io::Error::other(error),
        }),
    }
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Keep,
    Replace,
    /// As `Replace`, and the new one has the mode that it had.
    ReplaceWithItsMode,
}

/// Writes a file of a directory (mode 0600 where nothing else is said) so that it is whole or not there,
/// whatever happens.
pub(crate) fn write_durably(
    dir: &Path,
    path: &Path,
    text: &[u8],
    existing: Existing,
) -> Result<(), LedgerError> {
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(dir)?;
        file.write_all(text)?;
        give_to_owner_of(dir, file.as_file())?;
        if existing == Existing::ReplaceWithItsMode
            && let Ok(before) = fs::symlink_metadata(path)
            && before.is_file()
        {
            file.as_file().set_permissions(before.permissions())?;
        }
        file.as_file().sync_all()?;
        match existing {
            Existing::Keep => file.persist_noclobber(path),
            Existing::Replace | Existing::ReplaceWithItsMode => file.persist(path),
        }
        .map_err(|error| error.error)?;
        sync_dir(dir)
    };
    write().map_err(|source| LedgerError { action: "write", path: path.to_owned(), source })
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    #[test]
    fn what_root_writes_in_the_directory_of_another_user_belongs_to_that_user() {
        if !geteuid().is_root() {
            return;
        }
        let state = tempfile::tempdir().unwrap();
        chown(state.path(), Some(4321), Some(4322)).unwrap();
        let (folder, file) = (state.path().join("jobs"), state.path().join("jobs/1.json"));
        make_private_dir(&folder).unwrap();
        write_durably(&folder, &file, b"{}", Existing::Replace).unwrap();
        for path in [folder, file] {
            let of = fs::metadata(path).unwrap();
            assert_eq!((of.uid(), of.gid()), (4321, 4322));
        }
    }
}
