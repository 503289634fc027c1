//! Why the App has no token for a repository, by what the operator can do.

use std::time::Duration;

use super::key::KeyError;
use super::repository::Repository;

/// No token was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// The key is of no use.
    #[error("GITHUB_APP_PRIVATE_KEY must be {0}")]
    Key(KeyError),
    /// The address is of no use.
    #[error("the forge of the GitHub App cannot be addressed: {0}; check FORGE_API_URL")]
    Address(String),
    /// The settings of the App were taken away while a job had a token of it.
    #[error("GITHUB_APP_ID is not set any more")]
    NoApp,
    /// The App, or its installation, has nothing to do with this repository.
    #[error(
        "the GitHub App is not installed on {repository}, or not for this repository: {message}; \
         install it there (the App's page, Install App), or take GITHUB_APP_INSTALLATION_ID away"
    )]
    NotInstalled {
        /// The repository.
        repository: Repository,
        /// What the forge said.
        message: String,
    },
    /// The forge thinks that our statement is too old or from the future.
    #[error(
        "the forge did not accept the time of the GitHub App's signature: {message}; set this \
         machine's clock (the forge's own says {forge_time})"
    )]
    Clock {
        /// What the forge said.
        message: String,
        /// Its `Date`.
        forge_time: String,
    },
    /// The forge does not know the App by this key.
    #[error(
        "the forge did not accept the GitHub App's signature: {message}; check that \
         GITHUB_APP_PRIVATE_KEY is a key of the App GITHUB_APP_ID, and FORGE_API_URL"
    )]
    Unauthorised {
        /// What the forge said.
        message: String,
    },
    /// The forge understood and said no.
    #[error(
        "the forge refused while {attempted} (status {status}): {message}; the GitHub App needs the \
         permissions contents (write), pull requests (write), metadata (read) and issues (read), and \
         its installation must not be suspended"
    )]
    Refused {
        /// What was attempted.
        attempted: &'static str,
        /// The HTTP status.
        status: u16,
        /// What the forge said.
        message: String,
    },
    /// No answer, or one of a broken or busy server; may succeed later.
    #[error("the forge could not be reached while {attempted}: {reason}")]
    Unreachable {
        /// What was attempted.
        attempted: &'static str,
        /// Why.
        reason: String,
        /// How long the forge wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// An answer that is not what the forge's documentation says.
    #[error("the forge's answer while {attempted} cannot be read: {reason}")]
    Malformed {
        /// What was attempted.
        attempted: &'static str,
        /// Why.
        reason: String,
    },
}

impl AppError {
    /// Whether the same may succeed a little later.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether a token for any other repository would fail as well.
    pub(crate) const fn concerns_every_repository(&self) -> bool {
        !matches!(self, Self::NotInstalled { .. } | Self::Refused { .. })
    }

    /// How long the forge wants to be left alone.
    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
