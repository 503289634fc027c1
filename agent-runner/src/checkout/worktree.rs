//! A worktree of a repository of the user, for a run on the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::git::{BranchName, FetchInto, Git, Shadow, Source};

use super::lock::{self, RepositoryLock};
use super::{Checkout, CheckoutError, Remote, Start, absolute, ask_remote, parent_of};

/// Where our git directory keeps the default branch.
const BASE_REF: &str = "refs/remotes/origin/base";
/// Where our git directory keeps the ticket's branch as it was on the remote.
const START_REF: &str = "refs/remotes/origin/start";

/// The user's repository behind a worktree, which no other run uses meanwhile.
#[derive(Debug)]
pub(super) struct HeldRepository {
    path: PathBuf,
    lock: RepositoryLock,
}

impl HeldRepository {
    /// Removes the worktree and frees the repository.
    pub(super) async fn release(self, git: &Git, worktree: &Path) -> Result<(), CheckoutError> {
        let removed = git.worktree_remove(&self.path, worktree).await;
        drop(self.lock);
        Ok(removed?)
    }
}

/// Makes a worktree of a repository on this machine in a folder that is absent: HEAD detached, so
/// that the user sees no new branch, at the remote's newest commit. Other runs from the same
/// repository are waited for, at most 30 s, and then refused.
///
/// # Errors
/// See [`CheckoutError`].
pub(crate) async fn worktree_of(
    git: &Git,
    repository: &Path,
    source: &Source,
    into: &Path,
    branch: &BranchName,
) -> Result<Checkout, CheckoutError> {
    worktree_within(git, repository, source, into, branch, lock::PATIENCE).await
}

pub(super) async fn worktree_within(
    git: &Git,
    repository: &Path,
    source: &Source,
    into: &Path,
    branch: &BranchName,
    patience: Duration,
) -> Result<Checkout, CheckoutError> {
    let repository = &absolute(repository)?;
    let common_dir = git.common_dir(repository).await?;
    let lock = RepositoryLock::take(&common_dir, patience).await?;
    remove_leftovers(git, repository).await?;

    let remote = ask_remote(git, source, branch).await?;
    let parent = &absolute(parent_of(into))?;
    let path = parent.join(into.file_name().unwrap_or_default());
    let shadow = Shadow::create(parent, &path, &common_dir, branch)?;
    fetch_objects(git, source, repository, &shadow, branch, &remote).await?;
    let base_commit = shadow.commit_of(BASE_REF)?;
    let start_commit = match remote.start {
        Start::Fresh => base_commit,
        Start::Continued => shadow.commit_of(START_REF)?,
    };
    shadow.set_ref(&branch.to_ref(), start_commit)?;
    git.worktree_add(repository, start_commit, &path).await?;
    let checkout = Checkout {
        path,
        source: source.clone(),
        branch: branch.clone(),
        base_branch: remote.default,
        base_commit,
        start: remote.start,
        start_commit,
        shadow,
        held: Some(HeldRepository { path: repository.clone(), lock }),
    };
    match fill(git, &checkout).await {
        Ok(()) => Ok(checkout),
        Err(error) => {
            checkout.remove(git).await?;
            Err(error)
        }
    }
}

/// Fetches what the worktree needs: objects into the user's repository, refs into our directory.
async fn fetch_objects(
    git: &Git,
    source: &Source,
    repository: &Path,
    shadow: &Shadow,
    branch: &BranchName,
    remote: &Remote,
) -> Result<(), CheckoutError> {
    // So that only what is new is sent, the remote is told what the user's repository has.
    for tip in git.known_tips(repository).await? {
        shadow.set_ref(&format!("refs/known/{tip}"), tip)?;
    }
    let mut refspecs = vec![format!("+{}:{BASE_REF}", remote.default.to_ref())];
    if remote.start == Start::Continued {
        refspecs.push(format!("+{}:{START_REF}", branch.to_ref()));
    }
    let objects = shadow.objects();
    let into = FetchInto::Objects { git_dir: shadow.path(), objects: &objects };
    Ok(git.fetch(source, into, None, &refspecs).await?)
}

/// Puts the files into a new worktree, and the index that says so into the user's repository's
/// record of it.
async fn fill(git: &Git, checkout: &Checkout) -> Result<(), CheckoutError> {
    let path = checkout.path();
    git.fill(checkout.shadow.path(), checkout.start_commit, path).await?;
    let index = git.index_file(path).await?;
    fs::copy(checkout.shadow.index(), &index).map(drop).map_err(|source| CheckoutError::Io {
        attempted: "written",
        path: index,
        source,
    })
}

/// Removes worktrees of runs that did not come to remove theirs. As the lock is ours, no run that
/// lives has one.
async fn remove_leftovers(git: &Git, repository: &Path) -> Result<(), CheckoutError> {
    for leftover in git.our_worktrees(repository).await? {
        tracing::warn!(worktree = %leftover.display(), "removing the worktree of a broken run");
        git.worktree_remove(repository, &leftover).await?;
    }
    Ok(())
}
