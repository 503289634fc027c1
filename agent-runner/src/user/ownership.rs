//! Whose files are: trees and folders change hands by open folders, never by path.
//!
//! Invariant: no link is followed, not even one that is put in the place of a folder meanwhile. What a
//! link names stays with whom it is.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, getegid, geteuid, unlinkat};

/// How deep folders change hands: each level is an open file of ours.
const DEPTH_MAX: usize = 256;

/// A user and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user.
    pub(crate) uid: Uid,
    /// The group.
    pub(crate) gid: Gid,
}

impl Owner {
    /// Who we are.
    pub(crate) fn ourselves() -> Self {
        Self { uid: geteuid(), gid: getegid() }
    }
}

/// Gives a folder and everything in it to this owner, down to 256 folders within one another.
///
/// # Errors
/// When that is not allowed, or the path ends with a link.
pub(crate) fn give_tree(path: &Path, owner: Owner) -> io::Result<()> {
    give_open_tree(&open_folder(path)?, owner)
}

/// The same with a folder that is open.
pub(crate) fn give_open_tree(folder: &OwnedFd, owner: Owner) -> io::Result<()> {
    give_below(folder, owner, DEPTH_MAX)
}

/// Opens a folder, unless the path ends with a link.
pub(crate) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, folder_flags(), Mode::empty())?)
}

/// Opens a folder within another one, made if it is absent. What else has its name is removed: a link
/// there was made to lead us astray.
pub(crate) fn folder_within(parent: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    match openat(&parent, name, folder_flags(), Mode::empty()) {
        Err(Errno::ENOENT) => {}
        Err(Errno::ENOTDIR | Errno::ELOOP) => {
            tracing::warn!(name, "this is to be a folder and was none; it is replaced");
            unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir)?;
        }
        opened => return Ok(opened?),
    }
    match mkdirat(&parent, name, Mode::from_bits_truncate(0o755)) {
        Err(Errno::EEXIST) | Ok(()) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(openat(&parent, name, folder_flags(), Mode::empty())?)
}

/// How a folder is opened, so that no link is followed in its place.
pub(crate) fn folder_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

fn give_below(folder: &OwnedFd, owner: Owner, depth: usize) -> io::Result<()> {
    if depth == 0 {
        // Publishing reads them as they are; that they stay whose they are is no reason to lose the work.
        tracing::warn!("what is nested more than {DEPTH_MAX} deep keeps its owner");
        return Ok(());
    }
    fchown(folder, Some(owner.uid), Some(owner.gid))?;
    for (name, kind) in entries(folder)? {
        let below = match kind {
            Some(Type::Directory) | None => openat(folder, &*name, folder_flags(), Mode::empty()),
            Some(_) => Err(Errno::ENOTDIR),
        };
        match below {
            Ok(below) => give_below(&below, owner, depth - 1)?,
            Err(Errno::ENOTDIR | Errno::ELOOP) => give_file(folder, &name, owner)?,
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What is in a folder; of what kind it is where the file system says so.
fn entries(folder: &OwnedFd) -> io::Result<Vec<(CString, Option<Type>)>> {
    let mut listing = Dir::from_fd(folder.try_clone()?)?;
    let entries =
        listing.iter().map(|entry| entry.map(|e| (e.file_name().to_owned(), e.file_type())));
    let entries: Vec<_> = entries.collect::<Result<_, Errno>>()?;
    Ok(entries.into_iter().filter(|(name, _)| !matches!(name.to_bytes(), b"." | b"..")).collect())
}

/// What is gone meanwhile needs no owner.
fn give_file(folder: &OwnedFd, name: &CStr, owner: Owner) -> io::Result<()> {
    let (uid, gid) = (Some(owner.uid), Some(owner.gid));
    match fchownat(folder, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    /// Somebody else where we may say so; else ourselves, which shows less.
    fn somebody() -> Owner {
        if geteuid().is_root() {
            Owner { uid: Uid::from_raw(12_345), gid: Gid::from_raw(12_345) }
        } else {
            Owner::ourselves()
        }
    }

    fn owner_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().uid()
    }

    #[test]
    fn a_whole_tree_changes_hands_and_what_links_name_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, outside) = (folder.path().join("tree"), folder.path().join("outside"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(tree.join("a/b/file"), "x").unwrap();
        fs::write(outside.join("secret"), "x").unwrap();
        symlink(&outside, tree.join("to-folder")).unwrap();
        symlink(outside.join("secret"), tree.join("a/to-file")).unwrap();
        let new = somebody();
        give_tree(&tree, new).unwrap();
        for path in ["", "a", "a/b", "a/b/file", "a/to-file", "to-folder"] {
            assert_eq!(owner_of(&tree.join(path)), new.uid.as_raw(), "{path}");
        }
        let ours = geteuid().as_raw();
        assert_eq!((owner_of(&outside), owner_of(&outside.join("secret"))), (ours, ours));
    }

    #[test]
    fn a_path_that_ends_with_a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/", folder.path().join("link")).unwrap();
        give_tree(&folder.path().join("link"), Owner::ourselves()).unwrap_err();
    }

    #[test]
    fn folders_nested_without_end_are_no_crash_and_no_lost_work() {
        let folder = tempfile::tempdir().unwrap();
        let deep = ["d"; DEPTH_MAX + 10].join("/");
        fs::create_dir_all(folder.path().join(deep)).unwrap();
        give_tree(folder.path(), Owner::ourselves()).unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_a_folder_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        fs::create_dir(&target).unwrap();
        symlink(&target, folder.path().join("npm")).unwrap();
        let parent = open_folder(folder.path()).unwrap();
        drop(folder_within(&parent, "npm").unwrap());
        drop(folder_within(&parent, "npm").unwrap());
        assert!(fs::symlink_metadata(folder.path().join("npm")).unwrap().is_dir());
        assert!(target.is_dir());
    }
}
