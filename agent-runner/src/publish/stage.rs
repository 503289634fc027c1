//! What a work tree holds, as a tree of git and as a commit.

use git2::{IndexAddOption, Oid, Repository};
use serde::{Deserialize, Serialize};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::by_products::{ByProducts, oid_text};
use super::{Author, CommitMessage, PublishError, on_thread};
use crate::checkout::{Checkout, Start};
use crate::git::{CommitId, Git};
use crate::lfs::{LfsStore, is_in_lfs};

/// A state of the work tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot(#[serde(with = "oid_text")] pub(super) Oid);

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

/// What the branch would hold without any work that is still to be delivered: what it held when the run began,
/// or the default branch where it left that, if the run began at what an earlier one could not finish.
///
/// # Errors
/// When the commits cannot be read.
pub(crate) async fn without_work(git: &Git, checkout: &Checkout) -> Result<Snapshot, PublishError> {
    if checkout.start() != Start::Rescued {
        return at_start(git, checkout).await;
    }
    let (base, start) = (checkout.base_commit().oid(), checkout.start_commit().oid());
    let tree = on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let fork = repository.merge_base(base, start).unwrap_or(start);
        Ok(repository.find_commit(fork)?.tree_id())
    });
    tree.await.map(Snapshot)
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
pub(super) fn newest<'r>(
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
