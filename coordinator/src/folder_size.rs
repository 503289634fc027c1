//! What the files below a folder take of the disk. Other file systems that are mounted there do not
//! count, and however deep an agent has made its folders, they do.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;

/// Of the blocks that the system counts in, whatever those of the disk are.
const BLOCK: u64 = 512;

/// From one open folder it is gone no further down than this, in bytes of path, then from another:
/// the kernel refuses paths beyond 4096.
const REACH: usize = 2_048;

/// More folders than this are not kept in mind at a time; each takes about 100 bytes of memory.
const WAITING_MAX: usize = 1_000_000;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FolderSize {
    /// What is known to be taken, in bytes.
    pub(crate) bytes: u64,
    /// How many folders and files could not be looked at.
    pub(crate) unread: u64,
}

/// What the files below a folder take.
pub(crate) fn size_of(folder: &Path) -> FolderSize {
    let mut walk = Walk::default();
    match begin(folder) {
        Ok((device, above)) => walk.all_below(device, above),
        Err(_) => walk.size.unread += 1,
    }
    walk.size
}

/// What several folders take together.
pub(crate) fn sizes_of(folders: &[PathBuf]) -> BTreeMap<PathBuf, FolderSize> {
    folders.iter().map(|folder| (folder.clone(), size_of(folder))).collect()
}

/// A folder by its way from one that is open.
#[derive(Debug)]
struct Place {
    from: Arc<File>,
    way: PathBuf,
}

impl Place {
    fn at(folder: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let from = fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(folder)?;
        Ok(Self { from: Arc::new(from), way: PathBuf::from(".") })
    }

    fn path(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.from.as_raw_fd().to_string()).join(&self.way)
    }

    fn below(&self, name: OsString) -> io::Result<Self> {
        let below = Self { from: Arc::clone(&self.from), way: self.way.join(name) };
        if below.way.as_os_str().as_bytes().len() > REACH {
            return Self::at(&below.path());
        }
        Ok(below)
    }
}

fn begin(folder: &Path) -> io::Result<(u64, Place)> {
    let above = Place::at(folder)?;
    Ok((above.from.metadata()?.dev(), above))
}

#[derive(Debug, Default)]
struct Walk {
    size: FolderSize,
    waiting: Vec<(Arc<Place>, OsString)>,
}

impl Walk {
    fn all_below(&mut self, device: u64, above: Place) {
        self.look_at(device, &Arc::new(above));
        while let Some((above, name)) = self.waiting.pop() {
            match above.below(name) {
                Ok(place) => self.look_at(device, &Arc::new(place)),
                Err(error) => self.note(&error),
            }
        }
    }

    fn look_at(&mut self, device: u64, place: &Arc<Place>) {
        let entries = match fs::read_dir(place.path()) {
            Ok(entries) => entries,
            Err(error) => return self.note(&error),
        };
        for entry in entries {
            // Of the entry itself: links are not followed.
            let about = entry.and_then(|entry| Ok((entry.metadata()?, entry.file_name())));
            match about {
                Ok((about, _)) if about.dev() != device => {}
                Ok((about, name)) => {
                    self.size.bytes = self.size.bytes.saturating_add(about.blocks() * BLOCK);
                    if about.is_dir() && self.waiting.len() < WAITING_MAX {
                        self.waiting.push((Arc::clone(place), name));
                    } else if about.is_dir() {
                        self.size.unread += 1;
                    }
                }
                Err(error) => self.note(&error),
            }
        }
    }

    /// What is gone meanwhile takes nothing.
    fn note(&mut self, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.size.unread += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::{Mode, mkdirat};

    use super::*;

    const MIB: u64 = 1 << 20;

    fn whole(folder: &Path) -> u64 {
        let size = size_of(folder);
        assert_eq!(size.unread, 0);
        size.bytes
    }

    #[test]
    fn a_folders_size_is_that_of_its_files_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        fs::write(dir.path().join("below/file"), vec![7; 1 << 20]).unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).unwrap();
        let size = whole(dir.path());
        assert!((MIB..2 * MIB).contains(&size), "{size}");
    }

    #[test]
    fn a_file_with_holes_counts_what_it_takes() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("sparse")).unwrap();
        file.set_len(1 << 30).unwrap();
        assert!(whole(dir.path()) < MIB);
    }

    #[test]
    fn a_file_deeper_than_any_path_may_be_long_counts() {
        let dir = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let mut below = Place::at(dir.path()).unwrap().from;
        for _ in 0..40 {
            mkdirat(&below, name.as_str(), Mode::S_IRWXU).unwrap();
            let deeper = Place { from: below, way: PathBuf::from(&name) };
            below = Place::at(&deeper.path()).unwrap().from;
        }
        let file = Place { from: below, way: PathBuf::from("file") };
        fs::write(file.path(), vec![7; 1 << 20]).unwrap();
        assert!(whole(dir.path()) > MIB);
    }

    #[test]
    fn what_cannot_be_looked_at_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(size_of(&dir.path().join("missing")).unread, 1);
    }
}
