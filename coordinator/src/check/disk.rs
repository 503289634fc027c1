//! The space that has to stay free: without it nothing is claimed.

use std::path::Path;
use std::{fs, io};

use super::finding::Finding;
use crate::headroom::{Supply, disk_here};

/// The disk of a folder of this host, against the floor in bytes.
pub(super) fn judge(what: &str, folder: &Path, floor: u64) -> Option<Finding> {
    let (Supply::Free(free) | Supply::Total(free)) = disk_here(folder)?;
    let (free_mib, floor_mib) = (free >> 20, floor >> 20);
    let what = format!("disk, {what}");
    let found =
        format!("{} has {free_mib} MiB free, DISK_FLOOR_MIB is {floor_mib}", folder.display());
    Some(if free >= floor {
        Finding::ok(what, found)
    } else {
        let cure = "make room there (coordinator gc, docker system df), or lower DISK_FLOOR_MIB";
        Finding::failed(what, found, cure)
    })
}

/// Whether caches can be measured, where they are to be: in the engine's folder, by who looks now.
pub(super) fn caches(engine_folder: &Path, keep_bytes: u64) -> Option<Finding> {
    let folder = engine_folder.join("volumes");
    (keep_bytes > 0).then(|| of_caches(&folder, &fs::read_dir(&folder).map(drop)))
}

fn of_caches(folder: &Path, looked: &io::Result<()>) -> Finding {
    const WHAT: &str = "CACHE_KEEP_MIB";
    if looked.is_ok() {
        return Finding::ok(WHAT, "caches can be measured");
    }
    let found = format!(
        "{} cannot be looked into by this user: no cache is measured, and none is removed",
        folder.display()
    );
    let cure = "docker volume rm, by hand; a coordinator that is root measures them";
    Finding::note(WHAT, found, cure)
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn too_little_space_fails_and_none_that_is_asked_for_does_not() {
        let here = Path::new("/");
        assert_eq!(judge("x", here, 0).unwrap().state, State::Ok);
        assert_eq!(judge("x", here, u64::MAX).unwrap().state, State::Failed);
        assert_eq!(judge("x", Path::new("/nonexistent"), 0), None);
    }

    #[test]
    fn caches_that_this_user_cannot_look_into_are_told_of() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(of_caches(Path::new("/x"), &Err(denied)).state, State::Note);
        assert_eq!(of_caches(Path::new("/x"), &Ok(())).state, State::Ok);
        assert_eq!(caches(Path::new("/nonexistent"), 0), None);
    }
}
