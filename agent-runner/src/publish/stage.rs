//! What a work tree holds, as a tree of git and as a commit.

use git2::{Delta, Index, IndexAddOption, IndexEntry, IndexTime, Oid, Repository};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Author, CommitMessage, PublishError, on_thread};
use crate::checkout::Checkout;
use crate::git::{CommitId, Git};
use crate::lfs::{LfsStore, is_in_lfs};

/// A state of the work tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot(pub(super) Oid);

/// Files that a command of the repository made, changed or removed by itself: they are no work of the
/// agent's, and are not committed unless it changed them further.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByProducts {
    found: Vec<ByProduct>,
    /// Files that stay as they were when the work began, whoever changes them.
    kept_out: Vec<KeptOut>,
}

#[derive(Clone, Debug)]
struct KeptOut {
    path: Vec<u8>,
    at_start: Option<Content>,
}

#[derive(Clone, Debug)]
struct ByProduct {
    path: Vec<u8>,
    before: Option<Content>,
    after: Option<Content>,
}

/// A file's content and mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    id: Oid,
    mode: u32,
}

impl Content {
    /// Of a file in a tree.
    pub(super) fn of(entry: &git2::TreeEntry<'_>) -> Self {
        Self { id: entry.id(), mode: entry.filemode_raw().cast_unsigned() }
    }
}

impl ByProducts {
    /// Adds what differs between two states of the tree, before and after a command.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn add(
        &mut self,
        git: &Git,
        checkout: &Checkout,
        before: Snapshot,
        after: Snapshot,
    ) -> Result<(), PublishError> {
        if before == after {
            return Ok(());
        }
        let found = on_thread(checkout.shadow(), git.cancel(), move |repository| {
            differences(&repository, before, after)
        })
        .await?;
        tracing::info!(files = found.len(), "a command left files behind, which are not committed");
        self.found.extend(found);
        Ok(())
    }

    /// Keeps a file out of all commits: it is no work, whatever becomes of it.
    ///
    /// # Errors
    /// When the commit that the work began at cannot be read.
    pub(crate) async fn keep_out(
        &mut self,
        git: &Git,
        checkout: &Checkout,
        path: &Path,
    ) -> Result<(), PublishError> {
        let (start, file) = (checkout.start_commit().oid(), path.to_owned());
        let at_start = on_thread(checkout.shadow(), git.cancel(), move |repository| {
            Ok(content_in(&repository.find_commit(start)?.tree()?, &file))
        })
        .await?;
        self.kept_out.push(KeptOut { path: path.as_os_str().as_bytes().to_vec(), at_start });
        Ok(())
    }

    /// Takes back in an index what is still as the commands left it, the last of them first. What is
    /// committed that way is the worker's work.
    fn take_back(
        &self,
        index: &mut Index,
        committed: Option<&git2::Tree<'_>>,
    ) -> Result<(), git2::Error> {
        for one in &self.kept_out {
            let path = Path::new(std::ffi::OsStr::from_bytes(&one.path));
            match one.at_start {
                Some(content) => index.add(&entry(&one.path, content))?,
                None if index.get_path(path, 0).is_some() => index.remove(path, 0)?,
                None => {}
            }
        }
        for one in self.found.iter().rev() {
            let path = Path::new(std::ffi::OsStr::from_bytes(&one.path));
            let found = index.get_path(path, 0);
            let now = found.as_ref().map(|entry| Content { id: entry.id, mode: entry.mode });
            if now != one.after || committed.is_some_and(|tree| content_in(tree, path) == now) {
                continue;
            }
            match one.before {
                Some(content) => index.add(&entry(&one.path, content))?,
                None => index.remove(path, 0)?,
            }
        }
        Ok(())
    }
}

/// The state of the work tree now.
///
/// # Errors
/// When the tree cannot be read.
pub(crate) async fn snapshot(git: &Git, checkout: &Checkout) -> Result<Snapshot, PublishError> {
    let lfs = checkout.lfs().cloned();
    let staged = on_thread(checkout.shadow(), git.cancel(), move |repository| {
        stage_all(&repository, lfs.as_ref(), &ByProducts::default(), None)
    });
    staged.await.map(Snapshot)
}

/// What a commit would hold now: the work tree without by-products.
///
/// # Errors
/// When the tree cannot be read.
pub(crate) async fn staged(
    git: &Git,
    checkout: &Checkout,
    by_products: &ByProducts,
) -> Result<Snapshot, PublishError> {
    let (branch, workers_head) = (checkout.branch().to_ref(), checkout.workers_head());
    let (lfs, by_products) = (checkout.lfs().cloned(), by_products.clone());
    let staged = on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let tip = repository.find_reference(&branch)?.peel_to_commit()?;
        let committed = newest(&repository, tip, workers_head)?.tree()?;
        stage_all(&repository, lfs.as_ref(), &by_products, Some(&committed))
    });
    staged.await.map(Snapshot)
}

/// What the branch held when the work began.
///
/// # Errors
/// When the commit cannot be read.
pub(crate) async fn at_start(git: &Git, checkout: &Checkout) -> Result<Snapshot, PublishError> {
    let start = checkout.start_commit().oid();
    let tree = on_thread(checkout.shadow(), git.cancel(), move |repository| {
        Ok(repository.find_commit(start)?.tree_id())
    });
    tree.await.map(Snapshot)
}

/// Commits everything that differs in the work tree, files that git does not know included, those
/// that it ignores, and by-products, not. Commits that the worker made itself are kept below. Nothing is
/// returned if the tree is as it was at the start, or at the last call.
///
/// # Errors
/// See [`PublishError`].
pub(crate) async fn commit_all(
    git: &Git,
    checkout: &Checkout,
    author: &Author,
    message: &CommitMessage,
    by_products: &ByProducts,
) -> Result<Option<CommitId>, PublishError> {
    let objects = checkout.shadow().objects();
    if !objects.is_dir() {
        return Err(PublishError::NoObjects { objects });
    }
    let workers_head = checkout.workers_head();
    let branch = checkout.branch().to_ref();
    let (author, message, by_products) = (author.clone(), message.clone(), by_products.clone());
    let lfs = checkout.lfs().cloned();
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let tip = repository.find_reference(&branch)?.peel_to_commit()?;
        let parent = newest(&repository, tip.clone(), workers_head)?;
        let committed = parent.tree()?;
        let tree = stage_all(&repository, lfs.as_ref(), &by_products, Some(&committed))?;
        let tree = repository.find_tree(tree)?;
        if tree.id() == tip.tree_id() {
            return Ok(None);
        }
        let commit = if tree.id() == parent.tree_id() {
            parent.id()
        } else {
            let by = author.signature()?;
            repository.commit(None, &by, &by, message.as_str(), &tree, &[&parent])?
        };
        repository.reference(&branch, commit, true, "")?;
        Ok(Some(CommitId::from(commit)))
    })
    .await
}

fn content_in(tree: &git2::Tree<'_>, path: &Path) -> Option<Content> {
    tree.get_path(path).ok().map(|entry| Content::of(&entry))
}

/// Brings the index to the state of the work tree; the tree that it makes, without by-products. What the
/// attributes of the work tree have in Git LFS is there as its pointer, where that is asked for.
fn stage_all(
    repository: &Repository,
    lfs: Option<&LfsStore>,
    by_products: &ByProducts,
    committed: Option<&git2::Tree<'_>>,
) -> Result<Oid, git2::Error> {
    let mut index = repository.index()?;
    if lfs.is_some() {
        super::lfs::keep_known(repository, &mut index)?;
    }
    let (mut in_lfs, mut failed) = (Vec::new(), None);
    let mut choose = |path: &Path, _: &[u8]| {
        // libgit2 shows a repository within the tree as one path with a slash at its end. A link to
        // a commit that exists on this machine alone would break every clone.
        let within = path.as_os_str().as_bytes().ends_with(b"/");
        if within {
            tracing::warn!(path = %path.display(), "a repository within the work tree is left out");
        }
        let ours = !within
            && lfs.is_some()
            && is_in_lfs(repository, path).unwrap_or_else(|error| {
                failed = Some(error);
                true
            });
        if ours {
            in_lfs.push(path.to_owned());
        }
        i32::from(within || ours)
    };
    index.add_all(["*"], IndexAddOption::DEFAULT, Some(&mut choose))?;
    failed.map_or(Ok(()), Err)?;
    if let Some(store) = lfs {
        in_lfs
            .iter()
            .try_for_each(|path| super::lfs::stage(repository, &mut index, store, path))?;
        if let Some(committed) = committed {
            super::lfs::stage_converted(repository, &mut index, store, committed)?;
        }
    }
    index.write()?;
    by_products.take_back(&mut index, committed)?;
    index.write_tree()
}

/// The worker's HEAD if it has moved on from our tip, else our tip. A worker that went elsewhere
/// (another branch, rewritten history) leaves its files, which are committed on top of the tip.
fn newest<'r>(
    repository: &'r Repository,
    tip: git2::Commit<'r>,
    workers_head: Option<CommitId>,
) -> Result<git2::Commit<'r>, git2::Error> {
    let Some(head) = workers_head.map(CommitId::oid) else {
        return Ok(tip);
    };
    let Ok(commit) = repository.find_commit(head) else {
        return Ok(tip);
    };
    // History that cannot be followed does not lead to our tip.
    match repository.graph_descendant_of(head, tip.id()).unwrap_or(false) {
        true => Ok(commit),
        false => Ok(tip),
    }
}

fn differences(
    repository: &Repository,
    before: Snapshot,
    after: Snapshot,
) -> Result<Vec<ByProduct>, git2::Error> {
    let (old, new) = (repository.find_tree(before.0)?, repository.find_tree(after.0)?);
    let diff = repository.diff_tree_to_tree(Some(&old), Some(&new), None)?;
    let by_product = |delta: git2::DiffDelta<'_>| {
        let content =
            |file: git2::DiffFile<'_>| Content { id: file.id(), mode: file.mode().into() };
        let (old, new) = (delta.old_file(), delta.new_file());
        let path = new.path_bytes().or_else(|| old.path_bytes()).unwrap_or_default().to_vec();
        let before = (delta.status() != Delta::Added).then(|| content(old));
        let after = (delta.status() != Delta::Deleted).then(|| content(new));
        ByProduct { path, before, after }
    };
    Ok(diff.deltas().map(by_product).collect())
}

/// A file for an index.
pub(super) fn entry(path: &[u8], content: Content) -> IndexEntry {
    let time = IndexTime::new(0, 0);
    IndexEntry {
        ctime: time,
        mtime: time,
        dev: 0,
        ino: 0,
        mode: content.mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id: content.id,
        flags: 0,
        flags_extended: 0,
        path: path.to_vec(),
    }
}
