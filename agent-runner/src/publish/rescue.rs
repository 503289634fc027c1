//! Unfinished work on a branch of its own, so that nothing of it is lost.
//!
//! Invariant: no branch of anybody else is touched, and no commit that is on a rescue branch is taken
//! from it: what does not build upon it goes to another one.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use git2::{Oid, Repository};

use super::stage::{Content, entry};
use super::{Author, CommitMessage, PublishError, on_thread};
use crate::checkout::Checkout;
use crate::git::{BranchName, CommitId, Git, PushAnswer};

/// Where the work is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rescued {
    /// The branch.
    pub(crate) branch: BranchName,
    /// Its commit.
    pub(crate) commit: CommitId,
}

/// Saves a commit on the rescue branch of the checkout's branch, unless it is on that one already: a
/// push that was broken off may have come through.
///
/// # Errors
/// When it could not be pushed, or the remote does not show it.
pub(crate) async fn rescue(
    git: &Git,
    checkout: &Checkout,
    commit: CommitId,
) -> Result<Rescued, PublishError> {
    let (branch, usual) = (checkout.branch(), checkout.branch().rescue());
    let names = [branch.to_ref(), usual.to_ref()];
    let remote = git.ls_remote(checkout.source(), &names.each_ref().map(String::as_str)).await?;
    if remote.commit_of(branch) == Some(commit) {
        return Ok(Rescued { branch: branch.clone(), commit });
    }
    let (to, expected) = match remote.commit_of(&usual) {
        Some(there) if there == commit => return Ok(Rescued { branch: usual, commit }),
        Some(there) if builds_upon(git, checkout, commit, there).await? => (usual, Some(there)),
        Some(_) => (usual.with_suffix(commit), None),
        None => (usual, None),
    };
    let git_dir = checkout.shadow().path();
    match git.push(checkout.source(), git_dir, commit, &to, expected).await? {
        PushAnswer::Done => {}
        PushAnswer::Moved => return Err(PublishError::RemoteMoved { branch: to }),
        PushAnswer::Refused(reason) => return Err(PublishError::Refused { branch: to, reason }),
    }
    match git.ls_pushed(checkout.source(), &to).await? {
        Some(found) if found == commit => Ok(Rescued { branch: to, commit }),
        found => Err(PublishError::NotVerified { branch: to, expected: commit, found }),
    }
}

/// Removes the rescue branch that the work began at, now that the ticket's branch has all of it.
///
/// # Errors
/// When it could not be removed, or somebody has changed it.
pub(crate) async fn forget_rescue(git: &Git, checkout: &Checkout) -> Result<(), PublishError> {
    let (branch, git_dir) = (checkout.branch().rescue(), checkout.shadow().path());
    Ok(git.remove_branch(checkout.source(), git_dir, &branch, checkout.start_commit()).await?)
}

/// One commit with what a branch has beyond its start, without the changes of these paths. Nothing if
/// no other change is left.
///
/// # Errors
/// When it cannot be made.
pub(crate) async fn without(
    git: &Git,
    checkout: &Checkout,
    author: &Author,
    message: &CommitMessage,
    commit: CommitId,
    paths: Vec<PathBuf>,
) -> Result<Option<CommitId>, PublishError> {
    let start = checkout.start_commit();
    let (author, message) = (author.clone(), message.clone());
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let parent = repository.find_commit(start.oid())?;
        let tree = tree_without(&repository, &parent, commit.oid(), &paths)?;
        if tree == parent.tree_id() {
            return Ok(None);
        }
        let (by, tree) = (author.signature()?, repository.find_tree(tree)?);
        let made = repository.commit(None, &by, &by, message.as_str(), &tree, &[&parent])?;
        Ok(Some(made.into()))
    })
    .await
}

fn tree_without(
    repository: &Repository,
    start: &git2::Commit<'_>,
    commit: Oid,
    paths: &[PathBuf],
) -> Result<Oid, git2::Error> {
    let (old, new) = (start.tree()?, repository.find_commit(commit)?.tree()?);
    let mut index = git2::Index::new()?;
    index.read_tree(&new)?;
    for path in paths {
        match old.get_path(path) {
            Ok(before) => index.add(&entry(path.as_os_str().as_bytes(), Content::of(&before)))?,
            // Also a folder that was a file before.
            Err(_) => index.remove_all([path], None)?,
        }
    }
    index.write_tree_to(repository)
}

async fn builds_upon(
    git: &Git,
    checkout: &Checkout,
    commit: CommitId,
    earlier: CommitId,
) -> Result<bool, PublishError> {
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        // One that was not fetched is not among the ancestors.
        Ok(repository.graph_descendant_of(commit.oid(), earlier.oid()).unwrap_or(false))
    })
    .await
}

#[cfg(test)]
mod tests;
