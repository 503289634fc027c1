//! Files in Git LFS on their way out: their pointers in the commit, their content on the remote.
//!
//! Invariant: which files these are is told by the attributes of the work tree, for they are published
//! with it and every reader of the commit goes by them.

mod content;

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{Delta, DiffFile, Index, IndexEntry, Oid, Repository, Tree};

pub(crate) use self::content::{LfsContent, gather_lfs, lfs_at_hand, send_lfs};

use crate::lfs::{
    InTree, LfsStore, POINTER_MAX, Pointer, index_entry, is_in_lfs, open_in, pointer_to,
};

/// Brings one path of the index to the state of the work tree. A file whose content is what the pointer
/// in the index stands for keeps that; one that is a pointer itself stays as it is.
pub(super) fn stage(
    repository: &Repository,
    index: &mut Index,
    store: &LfsStore,
    path: &Path,
) -> Result<(), git2::Error> {
    let failed = |error: io::Error| failed(path, &error);
    let file = match open_in(repository.workdir().unwrap_or(Path::new("")), path) {
        Ok(InTree::File(file)) => file,
        Ok(InTree::Link) => return index.add_path(path),
        Ok(InTree::Nothing) => return remove(index, path),
        Err(error) => return Err(failed(error)),
    };
    let about = file.metadata().map_err(failed)?;
    let rewound = || (&file).rewind().map(|()| &file);
    if is_pointer(&file).map_err(failed)? {
        return index.add_path(path);
    }
    let earlier = index.get_path(path, 0).map(|entry| entry.id);
    let known = earlier.and_then(|id| Some((id, pointer_of(repository, id)?)));
    let same_size = known.filter(|(_, known)| known.size == about.len());
    let unchanged = match same_size {
        Some((id, known)) if rewound().and_then(pointer_to).map_err(failed)? == known => Some(id),
        Some(_) | None => None,
    };
    let id = match unchanged {
        Some(id) => id,
        None => {
            let kept = rewound().and_then(|file| store.add(file)).map_err(failed)?;
            repository.blob(kept.to_string().as_bytes())?
        }
    };
    index.add(&index_entry(path, id, &about))
}

/// Has the index know files by what they are now that only changed hands, as all do between the worker
/// and us: libgit2 would read their content each time, in vain, for its hash is never the pointer's. They
/// are read once for that, as a tool may have put back the time at which it changed one.
pub(super) fn keep_known(repository: &Repository, index: &mut Index) -> Result<(), git2::Error> {
    let (tree, odb) = (repository.workdir().unwrap_or(Path::new("")), repository.odb()?);
    let mut known = Vec::new();
    for entry in index.iter() {
        let is_file = entry.mode & 0o170_000 == 0o100_000;
        // A pointer is where the length is not the object's.
        if !is_file || odb.read_header(entry.id)?.0 == entry.file_size as usize {
            continue;
        }
        let path = Path::new(OsStr::from_bytes(&entry.path));
        let about = tree.join(path).symlink_metadata();
        let Some(about) = about.ok().filter(Metadata::is_file) else { continue };
        let now = index_entry(path, entry.id, &about);
        let key = |one: &IndexEntry| (one.ino, one.mtime, one.file_size, one.mode);
        if key(&now) == key(&entry)
            && now.ctime != entry.ctime
            && let Some(pointer) = pointer_of(repository, entry.id)
            && let InTree::File(file) = open_in(tree, path).map_err(|error| failed(path, &error))?
            && pointer_to(file).map_err(|error| failed(path, &error))? == pointer
        {
            known.push(now);
        }
    }
    known.iter().try_for_each(|entry| index.add(entry))
}

/// Stages the files again that the worker's own commits have as pointers and the index has not, or the
/// other way round: it converted them, and their content is what it was.
pub(super) fn stage_converted(
    repository: &Repository,
    index: &mut Index,
    store: &LfsStore,
    committed: &Tree<'_>,
) -> Result<(), git2::Error> {
    let mut converted = Vec::new();
    for delta in repository.diff_tree_to_index(Some(committed), Some(index), None)?.deltas() {
        let (old, new) = (delta.old_file(), delta.new_file());
        let is_pointer = |file: &DiffFile<'_>| pointer_of(repository, file.id()).is_some();
        if delta.status() == Delta::Modified
            && is_pointer(&old) != is_pointer(&new)
            && let Some(path) = new.path_bytes()
        {
            converted.push(PathBuf::from(OsStr::from_bytes(path)));
        }
    }
    converted.iter().try_for_each(|path| match is_in_lfs(repository, path)? {
        true => stage(repository, index, store, path),
        false => index.add_path(path),
    })
}

/// The pointer that a blob is.
fn pointer_of(repository: &Repository, id: Oid) -> Option<Pointer> {
    let (size, _) = repository.odb().ok()?.read_header(id).ok()?;
    let blob = (size < POINTER_MAX).then(|| repository.find_blob(id).ok()).flatten()?;
    Pointer::parse(blob.content())
}

fn is_pointer(file: impl Read) -> io::Result<bool> {
    let mut text = Vec::new();
    file.take(POINTER_MAX as u64).read_to_end(&mut text)?;
    // An empty file is its own pointer, by the specification.
    Ok(text.is_empty() || Pointer::parse(&text).is_some())
}

fn remove(index: &mut Index, path: &Path) -> Result<(), git2::Error> {
    match index.get_path(path, 0) {
        Some(_) => index.remove_path(path),
        None => Ok(()),
    }
}

fn failed(path: &Path, error: &io::Error) -> git2::Error {
    git2::Error::from_str(&format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
