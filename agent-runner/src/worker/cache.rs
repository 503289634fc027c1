//! The volume that the jobs of a project share for downloads. The mirrors of git repositories in it
//! ([`Mirror`](crate::checkout::Mirror)) are no worker's.
//!
//! Invariant: an earlier job may have been hostile, so nothing in it is followed or trusted: folders
//! are opened, not named, and a link in the place of one is removed.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::{AccessFlags, access, fchown};

use crate::user::WorkerUser;
use crate::user::ownership::{Owner, folder_within, give_open_tree, open_folder};

/// Where the coordinator mounts it.
pub(crate) const FOLDER: &str = "/cache";

/// The variables by which package managers are told where to keep downloads, and the folders.
const CACHES: [(&str, &str); 3] =
    [("npm_config_cache", "npm"), ("PIP_CACHE_DIR", "pip"), ("CARGO_HOME", "cargo")];

/// The caches that the worker can use; none where there is no volume.
pub(super) fn usable(cache: &Path, user: Option<&WorkerUser>) -> Vec<(&'static str, PathBuf)> {
    if access(cache, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        return Vec::new();
    }
    let Some(user) = user else {
        return CACHES.map(|(name, folder)| (name, cache.join(folder))).into();
    };
    match give(cache, user) {
        Ok(()) => CACHES.map(|(name, folder)| (name, cache.join(folder))).into(),
        Err(error) => {
            tracing::warn!(%error, "the cache in {} cannot be used", cache.display());
            Vec::new()
        }
    }
}

/// Makes the folders, and gives each to the worker's user unless it has it already; the cache itself
/// stays ours, so that no worker can put anything in their place.
fn give(cache: &Path, user: &WorkerUser) -> io::Result<()> {
    let cache = open_folder(cache)?;
    let ours = Owner::ourselves();
    fchown(&cache, Some(ours.uid), Some(ours.gid))?;
    fchmod(&cache, Mode::from_bits_truncate(0o755))?;
    for (_, name) in CACHES {
        let folder = folder_within(&cache, name)?;
        if fstat(&folder)?.st_uid != user.owner().uid.as_raw() {
            give_open_tree(&folder, user.owner())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_volume_there_is_no_cache() {
        assert!(usable(Path::new("/no/such/cache"), None).is_empty());
    }

    #[test]
    fn a_volume_that_can_be_written_is_used() {
        let cache = tempfile::tempdir().unwrap();
        let names: Vec<_> = usable(cache.path(), None).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["npm_config_cache", "PIP_CACHE_DIR", "CARGO_HOME"]);
    }
}
