//! Getting the repository: a shallow clone, or a worktree of a repository on this machine.
//!
//! Invariant: a [`Checkout`] starts at the newest commit of the branch on which the ticket's unfinished
//! work was saved, if that has all of the ticket's branch and is not from before what was merged of the
//! ticket; else of the ticket's branch on the remote if there is one, else of the remote's default branch,
//! asked for by name and never guessed. Nothing of ours is in its tree, and in its configuration nothing
//! but the filter of git-lfs, where the project file asks for that. A repository of the user is only ever
//! the place of objects and of a worktree's record: its own tree, index and branches are not touched.

mod by_mirror;
mod error;
mod lfs;
mod lock;
mod mirror;
mod pinned;
mod remote;
mod saved;
mod submodules;
mod worktree;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::git::{BranchName, CommitId, FetchInto, Git, Shadow, Source, workers_head};
use crate::lfs::LfsStore;
use crate::removal::remove_folder;

pub(crate) use self::error::CheckoutError;
pub(crate) use self::lfs::fetch_lfs;
pub(crate) use self::mirror::Mirror;
pub(crate) use self::pinned::{Pinned, begin_at};
use self::remote::{Remote, ask_again, ask_for_head, ask_remote};
pub(crate) use self::submodules::fetch_submodules;
pub(crate) use self::worktree::{HeldRepository, worktree_of, worktree_of_head};

/// Commits of history in a clone that starts fresh: the worker needs files, not history.
const FRESH_DEPTH: u32 = 1;
/// Commits of history when a ticket's branch is continued, of it and of the default branch: enough
/// to see what the branch did since it left, unless more has happened.
const CONTINUED_DEPTH: u32 = 100;

/// Where the work begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Start {
    /// At the default branch: the ticket has no branch yet.
    Fresh,
    /// At what an earlier run pushed.
    Continued,
    /// At what an earlier run could not finish, and saved.
    Rescued,
    /// At the head of a pull request, which is to be answered.
    Reviewed,
}

/// A work tree for one job, and what is needed to publish what is done in it.
#[derive(Debug)]
pub(crate) struct Checkout {
    path: PathBuf,
    source: Source,
    branch: BranchName,
    base_branch: BranchName,
    base_commit: CommitId,
    start: Start,
    start_commit: CommitId,
    published: Option<CommitId>,
    rescue: Option<CommitId>,
    shadow: Shadow,
    /// The work tree's own git directory, which the worker may change.
    git_dir: PathBuf,
    /// The user's repository, if this is a worktree of one.
    held: Option<HeldRepository>,
    /// What is in Git LFS, where that is asked for.
    lfs: Option<LfsStore>,
}

impl Checkout {
    /// The root of the work tree.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where it came from and goes to.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The branch that will be pushed.
    pub(crate) fn branch(&self) -> &BranchName {
        &self.branch
    }

    /// The remote's default branch.
    pub(crate) fn base_branch(&self) -> &BranchName {
        &self.base_branch
    }

    /// The commit that the default branch was at.
    pub(crate) fn base_commit(&self) -> CommitId {
        self.base_commit
    }

    /// Whether an earlier run is continued.
    pub(crate) fn start(&self) -> Start {
        self.start
    }

    /// The commit that the branch was at on the remote, if it was there.
    pub(crate) fn published(&self) -> Option<CommitId> {
        self.published
    }

    /// The commit that the branch with unfinished work was at on the remote, if it was there.
    pub(crate) fn rescue(&self) -> Option<CommitId> {
        self.rescue
    }

    /// The commit that the work began at.
    pub(crate) fn start_commit(&self) -> CommitId {
        self.start_commit
    }

    /// Whether it is a clone of its own, which has little of the history.
    pub(crate) fn is_clone(&self) -> bool {
        self.held.is_none()
    }

    /// Our git directory of the work tree.
    pub(crate) fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    /// The content of files in Git LFS, where these are published as such.
    pub(crate) fn lfs(&self) -> Option<&LfsStore> {
        self.lfs.as_ref()
    }

    /// Publishes files in Git LFS as such, of which the remote has these.
    #[cfg(test)]
    pub(crate) fn heed_lfs(&mut self, on_remote: &[crate::lfs::Pointer]) {
        let there = on_remote.iter().cloned().collect();
        self.lfs = Some(LfsStore::create(self.shadow.path(), there).unwrap());
    }

    /// The commit that the worker left HEAD at, if that can be told.
    pub(crate) fn workers_head(&self) -> Option<CommitId> {
        workers_head(&self.git_dir, self.shadow.common_dir())
    }

    /// Ends the use of the work tree. A worktree is removed, with the user's repository's record of
    /// it, and that repository is free again; a clone is left for the owner of its folder.
    ///
    /// # Errors
    /// When the worktree could not be removed; the repository is free all the same.
    pub(crate) async fn remove(self, git: &Git) -> Result<(), CheckoutError> {
        let Some(held) = self.held else {
            return Ok(());
        };
        held.release(git, &self.path).await
    }
}

/// Clones the repository into a folder that is empty or absent, with `branch` checked out; by what the
/// mirror has, where there is one.
///
/// # Errors
/// See [`CheckoutError`].
pub(crate) async fn clone_ticket_branch(
    git: &Git,
    source: &Source,
    into: &Path,
    branch: &BranchName,
    mirror: Option<&Mirror>,
) -> Result<Checkout, CheckoutError> {
    // Git runs in a folder of its own, where a relative path would mean another place.
    let into = &std::path::absolute(into).map_err(|source| not_found(into, source))?;
    let remote = ask_remote(git, source, branch).await?;
    let checkout = Box::pin(clone_as(git, source, into, branch, &remote, mirror)).await?;
    if saved::can_be_continued(&checkout)? {
        return Ok(checkout);
    }
    drop(checkout);
    remove_folder(into).await.map_err(|source| CheckoutError::Io {
        attempted: "removed",
        path: into.clone(),
        source,
    })?;
    let remote = remote.without_saved(branch);
    Box::pin(clone_as(git, source, into, branch, &remote, mirror)).await
}

/// Clones the repository into a folder that is empty or absent, with the head of a pull request checked out, as
/// it is: unfinished work of an earlier run is left where it is.
///
/// # Errors
/// See [`CheckoutError`].
pub(crate) async fn clone_head(
    git: &Git,
    source: &Source,
    into: &Path,
    head: &BranchName,
    mirror: Option<&Mirror>,
) -> Result<Checkout, CheckoutError> {
    let into = &std::path::absolute(into).map_err(|source| not_found(into, source))?;
    let remote = ask_for_head(git, source, head).await?;
    Box::pin(clone_as(git, source, into, head, &remote, mirror)).await
}

async fn clone_as(
    git: &Git,
    source: &Source,
    into: &Path,
    branch: &BranchName,
    remote: &Remote,
    mirror: Option<&Mirror>,
) -> Result<Checkout, CheckoutError> {
    let cloned = match mirror {
        Some(mirror) => by_mirror::clone(git, source, into, branch, remote, mirror).await?,
        None => clone_from(git, source, into, branch, remote).await?,
    };
    let Cloned { path, start_commit, base_commit } = cloned;
    let git_dir = path.join(".git");
    let shadow = Shadow::create(parent_of(&path), &path, &git_dir, branch)?;
    shadow.adopt_index(&git_dir.join("index"))?;
    shadow.set_ref(&branch.to_ref(), start_commit)?;
    Ok(Checkout {
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
        git_dir,
        held: None,
        lfs: None,
    })
}

/// A clone that is at the commits of the remote.
struct Cloned {
    path: PathBuf,
    start_commit: CommitId,
    base_commit: CommitId,
}

impl Cloned {
    /// The folder of its packs.
    fn packs(&self) -> PathBuf {
        self.path.join(".git/objects/pack")
    }

    /// Whether it is at the commits that the remote had.
    fn is(&self, remote: &Remote) -> bool {
        let start = remote.branch_commit.or(remote.default_commit);
        start == Some(self.start_commit) && remote.default_commit == Some(self.base_commit)
    }
}

/// The branch that is cloned before any other is fetched.
fn first_branch(remote: &Remote) -> &BranchName {
    match remote.start {
        Start::Fresh => &remote.default,
        Start::Continued | Start::Rescued | Start::Reviewed => &remote.continued,
    }
}

async fn clone_from(
    git: &Git,
    source: &Source,
    into: &Path,
    branch: &BranchName,
    remote: &Remote,
) -> Result<Cloned, CheckoutError> {
    let first = first_branch(remote);
    let depth = match remote.start {
        Start::Fresh => FRESH_DEPTH,
        Start::Continued | Start::Rescued | Start::Reviewed => CONTINUED_DEPTH,
    };
    git.clone(source, first, depth, into).await?;
    let path = absolute(into)?;
    let start_commit = head_of_clone(git, source, &path).await?;
    if matches!(remote.start, Start::Fresh | Start::Rescued) {
        git.switch_to_new(&path, branch).await?;
    }
    let base_commit = match remote.start {
        Start::Fresh => start_commit,
        Start::Continued | Start::Rescued | Start::Reviewed => {
            fetch_base(git, source, &path, &remote.default).await?
        }
    };
    Ok(Cloned { path, start_commit, base_commit })
}

async fn head_of_clone(
    git: &Git,
    source: &Source,
    clone: &Path,
) -> Result<CommitId, CheckoutError> {
    let empty = || CheckoutError::Empty { url: source.url.to_string() };
    git.head(clone).await?.ok_or_else(empty)
}

/// Fetches the default branch into a clone of the ticket's branch.
async fn fetch_base(
    git: &Git,
    source: &Source,
    clone: &Path,
    default: &BranchName,
) -> Result<CommitId, CheckoutError> {
    let remote_ref = format!("refs/remotes/origin/{default}");
    let refspec = format!("+{}:{remote_ref}", default.to_ref());
    let into = FetchInto::Clone(clone);
    git.fetch(source, into, Some(CONTINUED_DEPTH), &[refspec]).await?;
    let commit = git.commit(clone, &remote_ref).await?;
    commit.ok_or_else(|| CheckoutError::Empty { url: source.url.to_string() })
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, CheckoutError> {
    path.canonicalize().map_err(|source| not_found(path, source))
}

fn not_found(path: &Path, source: std::io::Error) -> CheckoutError {
    CheckoutError::Io { attempted: "found", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
