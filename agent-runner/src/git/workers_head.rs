//! Where a worker left the HEAD of its work tree, read without git.
//!
//! Invariant: of the worker's git directory two files are read as text, bounded, and nothing in it is
//! obeyed. Git itself would obey its configuration: where HEAD names a commit that is not there, it
//! fetches that from where the configuration says, and runs the programs that the configuration names.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

use super::CommitId;

/// The longest file that is read, in bytes: a list of packed refs has about 60 for each.
const FILE_MAX: u64 = 16 << 20;

/// The commit that HEAD is at, by itself or by a branch; nothing where that cannot be told. The commit
/// may be any: whether it is there, and leads to ours, is for the caller to see.
pub(crate) fn workers_head(git_dir: &Path, common_dir: &Path) -> Option<CommitId> {
    let head = read(&git_dir.join("HEAD"))?;
    let Some(name) = head.trim().strip_prefix("ref:") else {
        return head.trim().parse().ok();
    };
    let name = name.trim();
    let plain = |component| matches!(component, Component::Normal(_));
    if !name.starts_with("refs/heads/") || !Path::new(name).components().all(plain) {
        return None;
    }
    let loose = read(&common_dir.join(name)).and_then(|text| text.trim().parse().ok());
    loose.or_else(|| packed(&read(&common_dir.join("packed-refs"))?, name))
}

/// The commit of a ref in a file of packed ones: lines of `commit name`.
fn packed(text: &str, name: &str) -> Option<CommitId> {
    let line = |line: &str| line.split_once(' ').filter(|(_, of)| *of == name)?.0.parse().ok();
    text.lines().find_map(line)
}

/// A file's text. Links are not followed, and what is no file is not waited for.
fn read(path: &Path) -> Option<String> {
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path).ok()?;
    let mut text = String::new();
    let is_file = file.metadata().ok()?.is_file();
    let read = is_file.then(|| file.take(FILE_MAX).read_to_string(&mut text))?;
    read.ok().map(|_| text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::git::testing::run;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    fn head(folder: &Path) -> Option<String> {
        workers_head(folder, folder).map(|commit| commit.to_string())
    }

    #[test]
    fn head_is_found_as_git_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let git = |arguments: &str| run(folder.path(), &arguments.split(' ').collect::<Vec<_>>());
        git("init -q -b main");
        let git_dir = folder.path().join(".git");
        assert_eq!(head(&git_dir), None, "a branch without a commit");
        for (change, what) in [
            ("commit -q --allow-empty -m one", "a branch"),
            ("pack-refs --all", "a packed branch"),
            ("commit -q --allow-empty -m two", "a branch that is newer than it was packed"),
            ("checkout -q -b a/b", "another branch"),
            ("checkout -q --detach main", "no branch"),
        ] {
            git(change);
            assert_eq!(head(&git_dir), Some(git("rev-parse HEAD")), "{what}");
        }
    }

    #[test]
    fn what_is_no_ordinary_head_is_no_commit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("HEAD");
        fs::write(folder.path().join("commit"), COMMIT).unwrap();
        for text in ["", "ref: commit", "ref: refs/heads/../../commit", "ref: /commit", "0123"] {
            fs::write(&file, text).unwrap();
            assert_eq!(head(folder.path()), None, "{text:?}");
        }
        fs::remove_file(&file).unwrap();
        symlink("commit", &file).unwrap();
        assert_eq!(head(folder.path()), None, "a link");
        fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(head(folder.path()), None, "a pipe");
        fs::remove_file(&file).unwrap();
        fs::write(&file, COMMIT).unwrap();
        assert_eq!(head(folder.path()).as_deref(), Some(COMMIT));
    }
}
