//! The commits that would be published, and what each of them changes.
//!
//! Invariant: trees and blobs are compared by their ids, never as patches: a patch obeys attributes
//! that the worker may have written.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Outgoing;
use super::secret::AnyOf;
use git2::{Delta, DiffFile, DiffFindOptions, FileMode, Oid, Repository, Sort};

/// Renames are looked for among at most this many files: the work grows with the square.
const RENAMES_MAX: usize = 400;

/// The largest file, in bytes, that is searched for what was there before.
const BEFORE_MAX: usize = 8 << 20;

/// A file with content of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) path: PathBuf,
    pub(super) id: Oid,
}

/// What one commit changes, beside all of its parents.
#[derive(Debug, Default)]
pub(super) struct CommitChanges {
    /// Files that are new or different.
    pub(super) files: Vec<Blob>,
    /// All paths, those of files that are gone among them.
    pub(super) paths: HashSet<PathBuf>,
    /// What the changed and removed files were before.
    before: HashSet<Oid>,
}

impl CommitChanges {
    /// Those of the values that one of the files held before, as far as these are of a size that is
    /// searched: each is read once, whatever the number of values.
    pub(super) fn held_before(
        &self,
        repository: &Repository,
        values: Vec<&[u8]>,
    ) -> Result<HashSet<Vec<u8>>, git2::Error> {
        let mut held = HashSet::new();
        let Some(search) = AnyOf::new(values) else { return Ok(held) };
        let odb = repository.odb()?;
        for id in &self.before {
            if odb.read_header(*id)?.0 <= BEFORE_MAX {
                let blob = repository.find_blob(*id)?;
                search.add_held(&super::secret::readable(blob.content()), &mut held);
            }
        }
        Ok(held)
    }
}

/// A file as it was and as it is.
#[derive(Debug)]
pub(super) struct NetChange {
    pub(super) old: Option<Blob>,
    pub(super) new: Option<Blob>,
}

impl NetChange {
    /// Where the file was and is.
    pub(super) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.old, &self.new].into_iter().flatten().map(|blob| &blob.path)
    }

    pub(super) fn touches(&self, path: &Path) -> bool {
        [&self.old, &self.new].into_iter().flatten().any(|blob| blob.path == path)
    }
}

/// The commits that the tip has beyond the published ones, oldest first.
pub(super) fn commits(
    repository: &Repository,
    tip: Oid,
    published: &[Oid],
) -> Result<Vec<Oid>, git2::Error> {
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
    walk.push(tip)?;
    published.iter().try_for_each(|commit| walk.hide(*commit))?;
    walk.collect()
}

/// The files that the commits which would be published have and their parents have not: content and path.
///
/// # Errors
/// When the commits cannot be read.
pub(crate) fn new_files(
    repository: &Repository,
    outgoing: &Outgoing,
) -> Result<Vec<(Oid, PathBuf)>, git2::Error> {
    let published = [outgoing.base.oid(), outgoing.start.oid()];
    let mut files = Vec::new();
    for commit in commits(repository, outgoing.tip.oid(), &published)? {
        let changes = changes(repository, commit)?;
        files.extend(changes.files.into_iter().map(|file| (file.id, file.path)));
    }
    Ok(files)
}

/// What a commit changes. A merge changes what is as in none of its parents.
pub(super) fn changes(repository: &Repository, commit: Oid) -> Result<CommitChanges, git2::Error> {
    let commit = repository.find_commit(commit)?;
    let tree = commit.tree()?;
    let mut of_all: Option<CommitChanges> = None;
    for parent in commit.parents() {
        let one = changes_between(repository, Some(&parent.tree()?), &tree)?;
        of_all = Some(match of_all {
            None => one,
            Some(mut all) => {
                all.files.retain(|file| one.files.contains(file));
                all.paths.retain(|path| one.paths.contains(path));
                all.before.extend(one.before);
                all
            }
        });
    }
    of_all.map_or_else(|| changes_between(repository, None, &tree), Ok)
}

fn changes_between(
    repository: &Repository,
    old: Option<&git2::Tree<'_>>,
    new: &git2::Tree<'_>,
) -> Result<CommitChanges, git2::Error> {
    let diff = repository.diff_tree_to_tree(old, Some(new), None)?;
    let mut changes = CommitChanges::default();
    for delta in diff.deltas() {
        let (old, new) = (delta.old_file(), delta.new_file());
        changes.paths.extend([path_of(&old), path_of(&new)].into_iter().flatten());
        changes.before.extend(blob_of(&old).map(|blob| blob.id));
        if delta.status() != Delta::Deleted {
            changes.files.extend(blob_of(&new));
        }
    }
    Ok(changes)
}

/// What differs between two commits, files that were renamed as such.
pub(super) fn net_changes(
    repository: &Repository,
    from: Oid,
    to: Oid,
) -> Result<Vec<NetChange>, git2::Error> {
    let tree = |commit| repository.find_commit(commit)?.tree();
    let mut diff = repository.diff_tree_to_tree(Some(&tree(from)?), Some(&tree(to)?), None)?;
    let mut options = DiffFindOptions::new();
    options.renames(true).rename_limit(RENAMES_MAX);
    if diff.deltas().len() > RENAMES_MAX {
        options.exact_match_only(true);
    }
    diff.find_similar(Some(&mut options))?;
    let side = |file: &DiffFile<'_>, gone: bool| if gone { None } else { blob_of(file) };
    let changes = diff.deltas().map(|delta| NetChange {
        old: side(&delta.old_file(), delta.status() == Delta::Added),
        new: side(&delta.new_file(), delta.status() == Delta::Deleted),
    });
    Ok(changes.collect())
}

fn path_of(file: &DiffFile<'_>) -> Option<PathBuf> {
    file.path_bytes().map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(path)))
}

/// The file, unless it is a link to a commit of another repository, or not there.
fn blob_of(file: &DiffFile<'_>) -> Option<Blob> {
    let is_blob = matches!(
        file.mode(),
        FileMode::Blob | FileMode::BlobExecutable | FileMode::Link | FileMode::BlobGroupWritable
    );
    let path = path_of(file)?;
    (is_blob && !file.id().is_zero()).then(|| Blob { path, id: file.id() })
}
