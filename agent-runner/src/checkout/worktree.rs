//! A worktree of a repository of the user, for a run on the host.

use std::fs;
use std::path::{Path, PathBuf};

use api_client::error_chain;

use crate::git::{BranchName, FetchInto, Git, Shadow, Source};
use crate::removal::remove_folder;

use super::lock::RepositoryLock;
use super::{
    Checkout, CheckoutError, Remote, Start, absolute, ask_for_head, ask_remote, parent_of, saved,
};

/// Where our git directory keeps the default branch.
const BASE_REF: &str = "refs/remotes/origin/base";
/// Where our git directory keeps the ticket's branch as it was on the remote.
const START_REF: &str = "refs/remotes/origin/start";

/// A repository of the user, which no other run uses meanwhile.
#[derive(Debug)]
pub(crate) struct HeldRepository {
    path: PathBuf,
    /// The git directory that all its worktrees share.
    common_dir: PathBuf,
    _lock: RepositoryLock,
}

impl HeldRepository {
    /// Waits for the other runs from the same repository; `busy` is told that there are any. Dropping it frees the repository.
    ///
    /// # Errors
    /// When this is no repository.
    pub(crate) async fn take(
        git: &Git,
        repository: &Path,
        busy: impl AsyncFnOnce(),
    ) -> Result<Self, CheckoutError> {
        let path = absolute(repository)?;
        let common_dir = git.common_dir(&path).await?;
        let lock = RepositoryLock::take(&common_dir, busy).await?;
        Ok(Self { path, common_dir, _lock: lock })
    }

    /// Removes the worktree and frees the repository.
    pub(super) async fn release(self, git: &Git, worktree: &Path) -> Result<(), CheckoutError> {
        self.remove(git, worktree).await
    }

    /// Removes a worktree and the record of it. The folder goes first: git refuses to remove one
    /// whose own `.git` file is gone or names another place, as a worker may have it.
    async fn remove(&self, git: &Git, worktree: &Path) -> Result<(), CheckoutError> {
        let failed =
            |source| CheckoutError::Io { attempted: "removed", path: worktree.to_owned(), source };
        remove_folder(worktree).await.map_err(failed)?;
        Ok(git.worktree_remove(&self.path, worktree).await?)
    }

    /// Removes worktrees of runs that did not come to remove theirs. As the lock is ours, no run
    /// that lives has one. One that cannot be removed is in nobody's way.
    async fn remove_leftovers(&self, git: &Git) -> Result<(), CheckoutError> {
        for leftover in git.our_worktrees(&self.path).await? {
            tracing::warn!(worktree = %leftover.display(), "removing the worktree of a broken run");
            if let Err(error) = self.remove(git, &leftover).await {
                tracing::warn!("it is left: {}", error_chain(&error));
            }
        }
        Ok(())
    }
}

/// Makes a worktree of a repository on this machine in a folder that is absent: HEAD detached, so
/// that the user sees no new branch, at the remote's newest commit.
///
/// # Errors
/// See [`CheckoutError`].
pub(crate) async fn worktree_of(
    git: &Git,
    held: HeldRepository,
    source: &Source,
    into: &Path,
    branch: &BranchName,
) -> Result<Checkout, CheckoutError> {
    held.remove_leftovers(git).await?;

    let remote = ask_remote(git, source, branch).await?;
    let checkout = Box::pin(worktree_as(git, held, source, into, branch, &remote)).await?;
    let checkout = match saved::can_be_continued(&checkout) {
        Ok(false) => checkout,
        Ok(true) => return Ok(checkout),
        Err(error) => {
            checkout.remove(git).await?;
            return Err(error);
        }
    };
    let Checkout { held: Some(held), path, .. } = checkout else { return Ok(checkout) };
    held.remove(git, &path).await?;
    let remote = remote.without_saved(branch);
    Box::pin(worktree_as(git, held, source, into, branch, &remote)).await
}

/// The same at the head of a pull request, as it is: unfinished work of an earlier run is left where it is.
///
/// # Errors
/// See [`CheckoutError`].
pub(crate) async fn worktree_of_head(
    git: &Git,
    held: HeldRepository,
    source: &Source,
    into: &Path,
    head: &BranchName,
) -> Result<Checkout, CheckoutError> {
    held.remove_leftovers(git).await?;
    let remote = ask_for_head(git, source, head).await?;
    Box::pin(worktree_as(git, held, source, into, head, &remote)).await
}

async fn worktree_as(
    git: &Git,
    held: HeldRepository,
    source: &Source,
    into: &Path,
    branch: &BranchName,
    remote: &Remote,
) -> Result<Checkout, CheckoutError> {
    let parent = &absolute(parent_of(into))?;
    let path = parent.join(into.file_name().unwrap_or_default());
    let shadow = Shadow::create(parent, &path, &held.common_dir, branch)?;
    fetch_objects(git, source, &held.path, &shadow, remote).await?;
    let base_commit = shadow.commit_of(BASE_REF)?;
    let start_commit = match remote.start {
        Start::Fresh => base_commit,
        Start::Continued | Start::Rescued | Start::Reviewed => shadow.commit_of(START_REF)?,
    };
    shadow.set_ref(&branch.to_ref(), start_commit)?;
    git.worktree_add(&held.path, start_commit, &path).await?;
    let mut checkout = Checkout {
        git_dir: path.join(".git"),
        path,
        source: source.clone(),
        branch: branch.clone(),
        base_branch: remote.default.clone(),
        base_commit,
        start: remote.start,
        start_commit,
        published: remote.published,
        rescue: remote.rescue,
        shadow,
        held: Some(held),
        lfs: None,
    };
    match fill(git, &mut checkout).await {
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
    remote: &Remote,
) -> Result<(), CheckoutError> {
    // So that only what is new is sent, the remote is told what the user's repository has.
    for tip in git.known_tips(repository).await? {
        shadow.set_ref(&format!("refs/known/{tip}"), tip)?;
    }
    let mut refspecs = vec![format!("+{}:{BASE_REF}", remote.default.to_ref())];
    if remote.start != Start::Fresh {
        refspecs.push(format!("+{}:{START_REF}", remote.continued.to_ref()));
    }
    let objects = shadow.objects();
    let into = FetchInto::Objects { git_dir: shadow.path(), objects: &objects };
    Ok(git.fetch(source, into, None, &refspecs).await?)
}

/// Puts the files into a new worktree, and the index that says so into the user's repository's
/// record of it, which is the worktree's own git directory.
async fn fill(git: &Git, checkout: &mut Checkout) -> Result<(), CheckoutError> {
    let path = checkout.path();
    git.fill(checkout.shadow.path(), checkout.start_commit, path).await?;
    let git_dir = git.git_dir(path).await?;
    let index = git_dir.join("index");
    let copied = fs::copy(checkout.shadow.index(), &index);
    checkout.git_dir = git_dir;
    copied.map(drop).map_err(|source| CheckoutError::Io {
        attempted: "written",
        path: index,
        source,
    })
}
