//! Publishing: what was done in a [`Checkout`] as a commit, on the remote, and proof that it is.
//!
//! Invariant: the commit that is returned, pushed and verified is one and the same; a branch on the
//! remote is only ever moved forward, so commits of others are never lost.

mod by_products;
mod changes;
mod freshness;
mod history;
mod kept;
mod lfs;
mod rescue;
mod stage;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use api_client::outcome::DiffFacts;
use git2::Repository;
use tokio_util::sync::CancellationToken;

pub(crate) use self::by_products::ByProducts;
pub(crate) use self::changes::{Changes, Since, changes};
pub(crate) use self::freshness::{Updated, fetch_base, is_all_ours, moved_base, reverted, update};
pub(crate) use self::history::{commits, inspected, is_in_start, message};
pub(crate) use self::kept::{KeptTree, PackedTree, check_out_tree, pack_tree, unpack_tree};
pub(crate) use self::lfs::{LfsContent, gather_lfs, lfs_at_hand, send_lfs};
pub(crate) use self::rescue::{confirm, forget_rescue, rescue, squashed};
pub(crate) use self::stage::{Snapshot, at_start, commit_all, snapshot, staged, without_work};

use crate::checkout::{Checkout, Start};
use crate::git::{BranchName, CommitId, Git, GitError, PushAnswer, Shadow, ShadowError};

/// Longest subject line of a commit, in characters.
const SUBJECT_MAX_CHARS: usize = 72;
/// How long libgit2 may work on the repository at a time.
const LIMIT: Duration = Duration::from_secs(120);

/// The work could not be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The changes could not be read or committed.
    #[error(transparent)]
    Shadow(#[from] ShadowError),
    /// A name or address that no commit can carry.
    #[error("the author {name:?} <{email}> cannot be used; check GIT_USER_NAME and GIT_USER_EMAIL")]
    Author {
        /// The name.
        name: String,
        /// The e-mail address.
        email: String,
        /// The reason of libgit2.
        #[source]
        source: git2::Error,
    },
    /// Somebody else pushed to the branch meanwhile.
    #[error("{branch} has new commits on the remote since this run began; nothing was overwritten")]
    RemoteMoved {
        /// The branch.
        branch: BranchName,
    },
    /// A rule or hook of the remote.
    #[error("the remote refused the push to {branch}: {reason}")]
    Refused {
        /// The branch.
        branch: BranchName,
        /// What it said.
        reason: String,
    },
    /// The push seemed to succeed, but the remote does not show it.
    #[error("{branch} on the remote should be at {expected}, but {}", found_text(*found))]
    NotVerified {
        /// The branch.
        branch: BranchName,
        /// Our commit.
        expected: CommitId,
        /// The commit of the branch on the remote.
        found: Option<CommitId>,
    },
    /// A worker removed the git directory of its clone.
    #[error(
        "{} is gone: something in the worker's turn removed or replaced .git, and the repository's \
         objects with it",
        objects.display()
    )]
    NoObjects {
        /// Where they were.
        objects: PathBuf,
    },
    /// A pointer whose content nobody has.
    #[error("{} in Git LFS has no content in the work tree, and none was had from the remote", path.display())]
    LfsMissing {
        /// The file.
        path: PathBuf,
        /// Why the remote gave nothing, where it said so.
        #[source]
        source: Option<Box<GitError>>,
    },
    /// Something in the work tree, such as a pipe, keeps it from being read.
    #[error(
        "the work tree could not be read within {} s; is something in it that is no ordinary file?",
        limit.as_secs()
    )]
    TimedOut {
        /// How long it was given.
        limit: Duration,
    },
    /// What was kept and what is there are not the same.
    #[error("the work tree that an earlier try left did not come out as it was")]
    NotRestored,
    /// The run was cancelled.
    #[error("the work on the repository was cancelled")]
    Cancelled,
    /// The thread that works on the repository did not end well.
    #[error("the work on the repository broke off")]
    Broken(#[source] tokio::task::JoinError),
}

fn found_text(found: Option<CommitId>) -> String {
    found.map_or_else(|| "there is no such branch".to_owned(), |commit| format!("is at {commit}"))
}

/// Who makes the commits.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    name: String,
    email: String,
}

impl Author {
    /// An author; both parts as in `GIT_USER_NAME` and `GIT_USER_EMAIL`.
    ///
    /// # Errors
    /// When a part is empty or has characters that no commit can carry.
    pub(crate) fn new(name: &str, email: &str) -> Result<Self, PublishError> {
        let author = Self { name: name.trim().to_owned(), email: email.trim().to_owned() };
        match author.signature() {
            Ok(_) => Ok(author),
            Err(source) => {
                Err(PublishError::Author { name: author.name, email: author.email, source })
            }
        }
    }

    fn signature(&self) -> Result<git2::Signature<'static>, git2::Error> {
        git2::Signature::now(&self.name, &self.email)
    }
}

/// A commit message: one subject line of at most 72 characters, a body, and trailers.
#[derive(Clone, Debug)]
pub(crate) struct CommitMessage(String);

impl CommitMessage {
    /// A message of this subject, which is cut to its first line and to length, this body, and these
    /// trailers (names and values).
    pub(crate) fn new(subject: &str, body: &str, trailers: &[(&str, String)]) -> Self {
        let line = subject.lines().map(str::trim).find(|line| !line.is_empty());
        let line = line.unwrap_or("Work by the agent");
        let subject = match line.char_indices().nth(SUBJECT_MAX_CHARS) {
            None => line.to_owned(),
            Some(_) => {
                let kept: String = line.chars().take(SUBJECT_MAX_CHARS - 1).collect();
                format!("{}…", kept.trim_end())
            }
        };
        let mut message = format!("{subject}\n");
        if !body.trim().is_empty() {
            message.push_str(&format!("\n{}\n", body.trim()));
        }
        if !trailers.is_empty() {
            message.push('\n');
            trailers
                .iter()
                .for_each(|(name, value)| message.push_str(&format!("{name}: {value}\n")));
        }
        Self(message)
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

/// How much was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DiffStat {
    /// Files that differ.
    pub(crate) files: usize,
    /// Lines that are new.
    pub(crate) insertions: usize,
    /// Lines that are gone.
    pub(crate) deletions: usize,
}

impl From<DiffStat> for DiffFacts {
    fn from(stat: DiffStat) -> Self {
        Self { files: stat.files, insertions: stat.insertions, deletions: stat.deletions }
    }
}

impl fmt::Display for DiffStat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = if self.files == 1 { "file" } else { "files" };
        write!(f, "{} {files} changed, +{} -{}", self.files, self.insertions, self.deletions)
    }
}

/// What differs between a commit and the point where its branch left the default branch; in a review, where the run
/// began: what people have there before is theirs. If that
/// point is beyond the history that was fetched, between the commit and the start of this run, or the
/// default branch where the run added nothing.
///
/// # Errors
/// When the commits cannot be read.
pub(crate) async fn diff_stat(
    git: &Git,
    checkout: &Checkout,
    commit: CommitId,
) -> Result<DiffStat, PublishError> {
    let (base, start) = (checkout.base_commit().oid(), checkout.start_commit().oid());
    let reviewed = checkout.start() == Start::Reviewed;
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        // What both have may be beyond the history that was fetched.
        let before = if commit.oid() == start { base } else { start };
        let from = match reviewed {
            true => start,
            false => repository.merge_base(base, commit.oid()).unwrap_or(before),
        };
        let tree_of = |id| repository.find_commit(id)?.tree();
        let (old, new) = (tree_of(from)?, tree_of(commit.oid())?);
        let stats = repository.diff_tree_to_tree(Some(&old), Some(&new), None)?.stats()?;
        Ok(DiffStat {
            files: stats.files_changed(),
            insertions: stats.insertions(),
            deletions: stats.deletions(),
        })
    })
    .await
}

/// Pushes the commit to the checkout's branch, which must be on the remote as it was when the work began.
///
/// # Errors
/// [`PublishError::RemoteMoved`] and [`PublishError::Refused`] are final; git's own say themselves.
pub(crate) async fn push(
    git: &Git,
    checkout: &Checkout,
    commit: CommitId,
) -> Result<(), PublishError> {
    let branch = checkout.branch();
    let git_dir = checkout.shadow().path();
    match git.push(checkout.source(), git_dir, commit, branch, checkout.published()).await? {
        PushAnswer::Done => Ok(()),
        PushAnswer::Moved => Err(PublishError::RemoteMoved { branch: branch.clone() }),
        PushAnswer::Refused(reason) => {
            Err(PublishError::Refused { branch: branch.clone(), reason })
        }
    }
}

/// Asks the remote whether its branch is at the commit.
///
/// # Errors
/// [`PublishError::NotVerified`] when it is not.
pub(crate) async fn verify(
    git: &Git,
    checkout: &Checkout,
    commit: CommitId,
) -> Result<(), PublishError> {
    let branch = checkout.branch();
    match git.ls_pushed(checkout.source(), branch).await? {
        Some(found) if found == commit => Ok(()),
        found => Err(PublishError::NotVerified { branch: branch.clone(), expected: commit, found }),
    }
}

/// Runs libgit2 where it may block. It cannot be ended: a thread that hangs in it (a worker may put
/// a pipe where libgit2 looks for a file) is left behind, and ends with the process.
async fn on_thread<T: Send + 'static>(
    shadow: &Shadow,
    cancel: &CancellationToken,
    work: impl FnOnce(Repository) -> Result<T, git2::Error> + Send + 'static,
) -> Result<T, PublishError> {
    let repository = shadow.open()?;
    let done = tokio::select! {
        done = tokio::task::spawn_blocking(move || work(repository)) => done,
        () = tokio::time::sleep(LIMIT) => return Err(PublishError::TimedOut { limit: LIMIT }),
        () = cancel.cancelled() => return Err(PublishError::Cancelled),
    };
    Ok(done.map_err(PublishError::Broken)?.map_err(|error| shadow.git(error))?)
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
