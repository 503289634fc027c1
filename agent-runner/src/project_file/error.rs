//! What can be wrong with the file, each in one line that names file, key and reason.

use super::NAME;
use crate::git::{CommitId, ShadowError};

/// The project file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectFileError {
    /// Our git directory failed.
    #[error("{NAME} could not be looked for")]
    Shadow(#[from] ShadowError),
    /// The commit of the default branch cannot be read.
    #[error("{NAME} of commit {commit} could not be read")]
    Commit {
        /// The commit.
        commit: CommitId,
        /// The reason of libgit2.
        #[source]
        source: git2::Error,
    },
    /// It is a link, a folder or a submodule.
    #[error("{NAME} in the default branch must be a regular file, its mode in git is {mode:o}")]
    NoFile {
        /// The mode in the tree.
        mode: i32,
    },
    /// It is longer than any such file need be.
    #[error("{NAME} in the default branch must have at most {max} bytes, it has {size}")]
    TooLong {
        /// Its size in bytes.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// It is not UTF-8.
    #[error("{NAME} in the default branch must be UTF-8 text")]
    NoText(#[source] std::str::Utf8Error),
    /// It is no TOML, or has a key or a type that it must not have.
    #[error("{NAME}, line {line}{}: {reason}", key_text(key))]
    Toml {
        /// Line, from 1.
        line: usize,
        /// The key that the line sets, where it sets one.
        key: Option<String>,
        /// What is wrong.
        reason: String,
    },
    /// A value is not one that is allowed.
    #[error("{NAME}: {key} {reason}")]
    Value {
        /// The key with its table.
        key: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
}

fn key_text(key: &Option<String>) -> String {
    key.as_ref().map(|key| format!(", {key}")).unwrap_or_default()
}
