//! Why a repository could not be got.

use std::path::PathBuf;

use crate::git::{BranchName, GitError, InvalidName, ShadowError};

/// The repository could not be got.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckoutError {
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Our git directory failed.
    #[error(transparent)]
    Shadow(#[from] ShadowError),
    /// There is nothing to start from.
    #[error(
        "{url} has no commit on its default branch: it is empty, or its HEAD names a branch that \
         does not exist; push a first commit or correct the default branch"
    )]
    Empty {
        /// The repository.
        url: String,
    },
    /// A pull request whose branch is gone.
    #[error(
        "the pull request's branch {branch} is not in the repository any more; restore it there, or close \
             the pull request"
    )]
    NoHead {
        /// The branch.
        branch: BranchName,
    },
    /// A pull request from the branch that everything goes to.
    #[error("the pull request's branch {branch} is the default branch, which is never pushed to")]
    HeadIsDefault {
        /// The branch.
        branch: BranchName,
    },
    /// The remote does not say which branch a pull request is to go to.
    #[error("HEAD of {url} is a commit and not a branch; set a default branch on the forge")]
    Detached {
        /// The repository.
        url: String,
    },
    /// The default branch has a name that git itself would not allow.
    #[error("the default branch of {url} cannot be used")]
    DefaultBranch {
        /// The repository.
        url: String,
        /// What is wrong with it.
        #[source]
        source: InvalidName,
    },
    /// What a mirror brought cannot be used.
    #[error("the packs of the mirror cannot be used")]
    Packs {
        /// The reason of libgit2.
        #[source]
        source: git2::Error,
    },
    /// A submodule must not be fetched as `.gitmodules` says.
    #[error("submodule {path} cannot be fetched: {reason}")]
    Submodule {
        /// Its place in the tree.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Submodules cannot be read or made.
    #[error("the submodules cannot be fetched")]
    Submodules {
        /// The reason of libgit2.
        #[source]
        source: git2::Error,
    },
    /// The program for it is missing.
    #[error(
        "clone.lfs is true in .terarchitect.toml, and the program git-lfs is not installed here; the \
         agent's image has it"
    )]
    NoLfs,
    /// More than is fetched.
    #[error(
        "the repository has {count} files in Git LFS with {mib} MiB; at most 10000 files with 4096 MiB \
         are fetched"
    )]
    LfsTooMuch {
        /// How many files.
        count: usize,
        /// How much they are.
        mib: u64,
    },
    /// The remote sent something else.
    #[error("{} in Git LFS did not come as its pointer says", path.display())]
    LfsMissing {
        /// The file.
        path: PathBuf,
    },
    /// Pointers or attributes cannot be read.
    #[error("the files in Git LFS cannot be told")]
    LfsTree {
        /// The reason of libgit2.
        #[source]
        source: git2::Error,
    },
    /// What was fetched cannot be put in its place.
    #[error("the files in Git LFS could not be written")]
    Lfs {
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A clone came to other commits than the remote has.
    #[error("the clone is not at the commits that {url} has")]
    NotTheRemotes {
        /// The repository.
        url: String,
    },
    /// A folder could not be used.
    #[error("{} could not be {attempted}", path.display())]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}
