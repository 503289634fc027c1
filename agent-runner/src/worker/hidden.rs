//! Files of the repository that a CLI must not see when it starts, where it has no switch for that.
//!
//! They lose all permissions for the length of a turn and get them back after it. Git takes what it may
//! not look into for unchanged. A process of root would see them all the same.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Files and folders without permissions, until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Hidden(Vec<(PathBuf, Permissions)>);

impl Hidden {
    /// Hides what has one of these names in the root of a tree. Nothing of the worker may run. What a
    /// link means outside the tree is not the repository's, and left alone.
    ///
    /// # Errors
    /// When something cannot be hidden.
    pub(super) fn within(tree: &Path, names: &[&str]) -> io::Result<Self> {
        let mut hidden = Self::default();
        let root = tree.canonicalize()?;
        for name in names {
            let path = match root.join(name).canonicalize() {
                Ok(path) if path.starts_with(&root) && path != root => path,
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let before = fs::metadata(&path)?.permissions();
            fs::set_permissions(&path, Permissions::from_mode(0o000))?;
            hidden.0.push((path, before));
        }
        Ok(hidden)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        for (path, before) in self.0.drain(..).rev() {
            // The worker may have removed it, or put a link in its place: that is not followed.
            if fs::symlink_metadata(&path).is_ok_and(|now| !now.is_symlink())
                && let Err(error) = fs::set_permissions(&path, before)
            {
                tracing::warn!(%error, path = %path.display(), "a file could not be shown again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_hidden_has_no_permissions_until_the_turn_is_over() {
        let tree = tempfile::tempdir().unwrap();
        let (folder, file) = (tree.path().join(".tool"), tree.path().join("tool.json"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "{}").unwrap();
        let before = (mode(&folder), mode(&file));
        let hidden = Hidden::within(tree.path(), &[".tool", "tool.json", "absent"]).unwrap();
        assert_eq!((mode(&folder), mode(&file)), (0, 0));
        drop(hidden);
        assert_eq!((mode(&folder), mode(&file)), before);
    }

    #[test]
    fn a_link_out_of_the_tree_is_not_followed_and_one_within_it_is() {
        let (tree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let within = tree.path().join("elsewhere");
        fs::create_dir(&within).unwrap();
        let link = |to: &Path, name| std::os::unix::fs::symlink(to, tree.path().join(name));
        link(outside.path(), "out").unwrap();
        link(&within, "in").unwrap();
        link(Path::new("."), "self").unwrap();
        let before = mode(outside.path());
        let _hidden = Hidden::within(tree.path(), &["out", "in", "self"]).unwrap();
        assert_eq!((mode(outside.path()), mode(&within)), (before, 0));
        assert_ne!(mode(tree.path()), 0);
    }

    #[test]
    fn what_the_worker_put_in_its_place_is_not_followed() {
        let (tree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = tree.path().join("tool.json");
        fs::write(&file, "{}").unwrap();
        let hidden = Hidden::within(tree.path(), &["tool.json"]).unwrap();
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(outside.path(), &file).unwrap();
        let before = mode(outside.path());
        drop(hidden);
        assert_eq!(mode(outside.path()), before);
    }

    #[test]
    fn git_takes_a_hidden_folder_for_unchanged() {
        if nix::unistd::geteuid().is_root() {
            return;
        }
        let tree = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let mut git = std::process::Command::new("git");
            git.current_dir(tree.path()).args(["-c", "user.name=A", "-c", "user.email=a@b.c"]);
            git.args(arguments).output().unwrap().stdout
        };
        fs::create_dir(tree.path().join(".tool")).unwrap();
        fs::write(tree.path().join(".tool/a"), "a").unwrap();
        git(&["init", "-q"]);
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", "first"]);
        let _hidden = Hidden::within(tree.path(), &[".tool"]).unwrap();
        git(&["commit", "-q", "-a", "--allow-empty", "-m", "second"]);
        assert_eq!(git(&["diff", "--name-only", "HEAD~", "HEAD"]), b"");
    }
}
