//! Git directories: their files as they are, and their objects, which git compresses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use super::disk;
use super::hit::{Hits, Place};

/// Searches a folder, and the objects of every git directory below it. Returns how many there were.
pub(super) fn search(hits: &mut Hits<'_>, place: Place, folder: &Path) -> usize {
    disk::search(hits, place, folder, SystemTime::UNIX_EPOCH);
    let found = git_dirs(folder);
    for directory in &found {
        search_objects(hits, place, directory);
    }
    found.len()
}

fn search_objects(hits: &mut Hits<'_>, place: Place, directory: &Path) {
    // It belongs to another user, and its alternates are paths of another mount namespace.
    let mut git = Command::new("git")
        .args(["-c", "safe.directory=*", "--git-dir"])
        .arg(directory)
        .args(["cat-file", "--batch-all-objects", "--batch"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git");
    let objects = git.stdout.take().expect("a pipe");
    let path = format!("{} (objects)", directory.display());
    hits.search(place, &path, objects).expect("objects can be read");
    git.wait().expect("a child of ours");
}

/// The folders that look like git directories.
pub(super) fn git_dirs(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        if folder.join("HEAD").is_file() && folder.join("objects").is_dir() {
            found.push(folder.clone());
        }
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let entries =
            entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(entries.map(|entry| entry.path()));
    }
    found
}
