//! Unfinished work on a branch of its own, so that nothing of it is lost.
//!
//! Invariant: the newest work is on the rescue branch, and no commit that was there is lost: what the
//! newest does not build upon is kept on a branch beside it.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use git2::{ErrorCode, Index, Oid, Repository};

use super::by_products::{Content, entry};
use super::{Author, CommitMessage, PublishError, on_thread};
use crate::checkout::Checkout;
use crate::git::{BranchName, CommitId, FetchInto, Git, PushAnswer};

/// Where an older rescue is kept in our git directory.
const OLDER: &str = "refs/agent/older-rescue";

/// Where the work is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rescued {
    /// The branch.
    pub(crate) branch: BranchName,
    /// Its commit.
    pub(crate) commit: CommitId,
}

/// Saves a commit on the rescue branch of the checkout's branch, unless all of it, as one of the `whole`
/// commits, is on the branch itself: a push that was broken off may have come through. What the remote
/// has by then is for [`confirm`] to say.
///
/// # Errors
/// When it could not be pushed.
pub(crate) async fn rescue(
    git: &Git,
    checkout: &Checkout,
    whole: &[CommitId],
    commit: CommitId,
) -> Result<Rescued, PublishError> {
    let (branch, to) = (checkout.branch(), checkout.branch().rescue());
    let names = [branch.to_ref(), to.to_ref()];
    let remote = git.ls_remote(checkout.source(), &names.each_ref().map(String::as_str)).await?;
    if let Some(there) = remote.commit_of(branch).filter(|there| whole.contains(there)) {
        return Ok(Rescued { branch: branch.clone(), commit: there });
    }
    let expected = remote.commit_of(&to);
    match expected {
        Some(there) if there == commit => return Ok(Rescued { branch: to, commit }),
        Some(there) if !builds_upon(git, checkout, commit, there).await? => {
            set_aside(git, checkout, &to, there).await?;
        }
        Some(_) | None => {}
    }
    let git_dir = checkout.shadow().path();
    match git.push(checkout.source(), git_dir, commit, &to, expected).await? {
        PushAnswer::Done => Ok(Rescued { branch: to, commit }),
        PushAnswer::Moved => Err(PublishError::RemoteMoved { branch: to }),
        PushAnswer::Refused(reason) => Err(PublishError::Refused { branch: to, reason }),
    }
}

/// Asks the remote whether the work is there.
///
/// # Errors
/// [`PublishError::NotVerified`] when it is not.
pub(crate) async fn confirm(
    git: &Git,
    checkout: &Checkout,
    rescued: &Rescued,
) -> Result<(), PublishError> {
    let Rescued { branch, commit } = rescued.clone();
    match git.ls_pushed(checkout.source(), &branch).await? {
        Some(found) if found == commit => Ok(()),
        found => Err(PublishError::NotVerified { branch, expected: commit, found }),
    }
}

/// Removes the rescue branch that was there when the work began, if what is delivered has all of it.
///
/// # Errors
/// When it could not be removed, or somebody has changed it.
pub(crate) async fn forget_rescue(
    git: &Git,
    checkout: &Checkout,
    delivered: CommitId,
) -> Result<(), PublishError> {
    let Some(there) = checkout.rescue() else { return Ok(()) };
    if there != delivered && !builds_upon(git, checkout, delivered, there).await? {
        return Ok(());
    }
    let (branch, git_dir) = (checkout.branch().rescue(), checkout.shadow().path());
    Ok(git.remove_branch(checkout.source(), git_dir, &branch, there).await?)
}

/// One commit with what a branch has beyond its start, without the changes of these files. Nothing if
/// no other change is left.
///
/// # Errors
/// When it cannot be made.
pub(crate) async fn squashed(
    git: &Git,
    checkout: &Checkout,
    author: &Author,
    message: &CommitMessage,
    tip: CommitId,
    without: BTreeSet<PathBuf>,
) -> Result<Option<CommitId>, PublishError> {
    let start = checkout.start_commit();
    let (author, message) = (author.clone(), message.clone());
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let parent = repository.find_commit(start.oid())?;
        let tree = tree_without(&repository, &parent, tip.oid(), &without)?;
        if tree == parent.tree_id() {
            return Ok(None);
        }
        let (by, tree) = (author.signature()?, repository.find_tree(tree)?);
        let made = repository.commit(None, &by, &by, message.as_str(), &tree, &[&parent])?;
        Ok(Some(made.into()))
    })
    .await
}

/// Keeps what the rescue branch has on a branch beside it.
async fn set_aside(
    git: &Git,
    checkout: &Checkout,
    rescue: &BranchName,
    there: CommitId,
) -> Result<(), PublishError> {
    let (source, git_dir) = (checkout.source(), checkout.shadow().path());
    let refspec = format!("+{}:{OLDER}", rescue.to_ref());
    git.fetch(source, FetchInto::Ours(git_dir), Some(1), &[refspec]).await?;
    let aside = rescue.with_suffix(there);
    tracing::warn!("what branch {rescue} had is kept on branch {aside}");
    match git.push(source, git_dir, there, &aside, None).await? {
        // The name is made of the commit: it was kept before.
        PushAnswer::Done | PushAnswer::Moved => Ok(()),
        PushAnswer::Refused(reason) => Err(PublishError::Refused { branch: aside, reason }),
    }
}

fn tree_without(
    repository: &Repository,
    start: &git2::Commit<'_>,
    commit: Oid,
    paths: &BTreeSet<PathBuf>,
) -> Result<Oid, git2::Error> {
    let (old, new) = (start.tree()?, repository.find_commit(commit)?.tree()?);
    let mut index = Index::new()?;
    index.read_tree(&new)?;
    for path in paths {
        // A file was removed, or is in a commit below alone.
        absent_is_fine(index.remove(path, 0))?;
        if let Ok(before) = old.get_path(path)
            && before.kind() != Some(git2::ObjectType::Tree)
        {
            // What was a file may be a folder by now.
            absent_is_fine(index.remove_dir(path, 0))?;
            index.add(&entry(path.as_os_str().as_bytes(), Content::of(&before)))?;
        }
    }
    index.write_tree_to(repository)
}

fn absent_is_fine(removed: Result<(), git2::Error>) -> Result<(), git2::Error> {
    match removed {
        Err(error) if error.code() != ErrorCode::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
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
