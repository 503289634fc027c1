//! The file in which the worker writes its plan: in the work tree while there is something to plan, and gone when
//! the work begins.
//!
//! Invariant: it is read and removed by open folders, so that no link of the worker's leads elsewhere. A file
//! that the repository has by that name is never part of the commit.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::user::ownership::{folder_flags, open_folder};

/// The folder that plans are in.
const FOLDER: &str = "plan";

/// Where a plan is.
#[derive(Clone, Debug)]
pub(super) struct PlanFile {
    tree: PathBuf,
    name: String,
}

impl PlanFile {
    /// That of the work on a branch.
    pub(super) fn of(tree: &Path, branch: &str) -> Self {
        let id = branch.strip_prefix("ticket-").unwrap_or(branch).replace('/', "-");
        Self { tree: tree.to_owned(), name: format!("{id}_task_plan.md") }
    }

    /// Its path within the work tree.
    pub(super) fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// The beginning of the plan, whether git ignores it or not; nothing where there is no such file.
    pub(super) fn read(&self, max: usize) -> io::Result<Option<String>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let opened = open_folder(&self.tree).and_then(|tree| {
            let folder = openat(&tree, FOLDER, folder_flags(), Mode::empty())?;
            Ok(openat(&folder, self.name.as_str(), flags, Mode::empty())?)
        });
        let file = match opened {
            Ok(file) => File::from(file),
            Err(error) if is_none(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(u64::try_from(max).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Removes it, and its folder where nothing else is in that.
    pub(super) fn remove(&self) -> io::Result<()> {
        let tree = open_folder(&self.tree)?;
        let removed = openat(&tree, FOLDER, folder_flags(), Mode::empty()).and_then(|folder| {
            unlinkat(&folder, self.name.as_str(), UnlinkatFlags::NoRemoveDir)?;
            match unlinkat(&tree, FOLDER, UnlinkatFlags::RemoveDir) {
                Err(Errno::ENOTEMPTY | Errno::EEXIST) | Ok(()) => Ok(()),
                Err(error) => Err(error),
            }
        });
        match removed.map_err(io::Error::from) {
            Err(error) if !is_none(&error) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Whether there is nothing by that name, or something that is no plan.
fn is_none(error: &io::Error) -> bool {
    let none = [Errno::ENOENT, Errno::ENOTDIR, Errno::ELOOP, Errno::EISDIR, Errno::ENXIO];
    error.raw_os_error().is_some_and(|code| none.contains(&Errno::from_raw(code)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn scene() -> (tempfile::TempDir, PlanFile) {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("plan")).unwrap();
        let file = PlanFile::of(tree.path(), "ticket-7");
        assert_eq!(file.path(), Path::new("plan/7_task_plan.md"));
        (tree, file)
    }

    #[test]
    fn a_plan_is_read_up_to_a_length_and_removed_with_its_folder() {
        let (tree, file) = scene();
        assert_eq!(file.read(9).unwrap(), None);
        file.remove().unwrap();
        fs::write(tree.path().join(file.path()), "1. Do it\n2. Test it\n").unwrap();
        assert_eq!(file.read(9).unwrap().as_deref(), Some("1. Do it\n"));
        fs::write(tree.path().join("plan/other"), "x").unwrap();
        file.remove().unwrap();
        assert!(tree.path().join("plan/other").exists() && file.read(9).unwrap().is_none());
        fs::remove_file(tree.path().join("plan/other")).unwrap();
        fs::write(tree.path().join(file.path()), "1. Do it\n").unwrap();
        file.remove().unwrap();
        assert!(!tree.path().join("plan").exists());
    }

    #[test]
    fn a_link_is_no_plan_and_leads_nowhere() {
        let (tree, file) = scene();
        symlink("/etc/passwd", tree.path().join(file.path())).unwrap();
        assert_eq!(file.read(100).unwrap(), None);
        fs::remove_dir_all(tree.path().join("plan")).unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("7_task_plan.md"), "x").unwrap();
        symlink(outside.path(), tree.path().join("plan")).unwrap();
        assert_eq!(file.read(100).unwrap(), None);
        file.remove().unwrap();
        assert!(outside.path().join("7_task_plan.md").exists());
    }
}
