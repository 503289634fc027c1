//! Why a repository could not be got.

use std::path::PathBuf;

use crate::git::{GitError, InvalidName, ShadowError};

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
