//! Files of the engine that are there since a moment.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::hit::{Hits, Place};

/// The folders of the engine in which each entry is made once and filled then: those that are older
/// than the job are not its own.
const ENTRIES: [&str; 3] = ["containers", "overlay2", "image/overlay2/layerdb"];

/// Run-time state of the engine and of what starts its containers.
const RUNTIME: [&str; 2] = ["/run/docker", "/run/containerd"];

/// Searches everything that the engine wrote since then, below its root and in its run-time state.
pub(super) fn search_engine(hits: &mut Hits<'_>, root: &Path, since: SystemTime) {
    for folder in ENTRIES {
        for entry in entries(&root.join(folder)) {
            // Where the file system does not tell, it is looked at.
            let born =
                entry.metadata().and_then(|data| data.created()).unwrap_or(SystemTime::now());
            if born >= since {
                search(hits, Place::Disk, &entry, since);
            }
        }
    }
    search(hits, Place::Disk, &root.join("volumes"), since);
    for folder in RUNTIME {
        search(hits, Place::Disk, Path::new(folder), since);
    }
}

/// Searches the files below a folder that changed since then. What is mounted below it is left out.
pub(super) fn search(hits: &mut Hits<'_>, place: Place, folder: &Path, since: SystemTime) {
    let Ok(device) = fs::metadata(folder).map(|data| data.dev()) else { return };
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in entries(&folder) {
            let Ok(data) = fs::symlink_metadata(&entry) else { continue };
            if data.dev() != device {
                continue;
            }
            if data.is_dir() {
                folders.push(entry);
            } else if data.is_file() && changed(&data) >= since {
                hits.search_file(place, &entry);
            }
        }
    }
}

/// When anything of a file changed last; unlike the time of its content, no program can set it.
fn changed(data: &fs::Metadata) -> SystemTime {
    let seconds = u64::try_from(data.ctime()).unwrap_or_default();
    let nanos = u32::try_from(data.ctime_nsec()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + std::time::Duration::new(seconds, nanos)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}
