//! Why a forge did not do what was asked, by what may be done about it.

use std::time::Duration;

use crate::git::{BranchName, CommitId};

/// The pull request could not be found, opened, or confirmed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgeError {
    /// There is no token, or what is set cannot be used.
    #[error("the forge cannot be used: {0}")]
    Misconfigured(String),
    /// The token was not accepted.
    #[error(
        "the forge did not accept the token while {attempted}: {message}; check GITHUB_TOKEN, \
         which must be allowed to write pull requests"
    )]
    Unauthorised {
        /// What was attempted.
        attempted: &'static str,
        /// What the forge said.
        message: String,
    },
    /// No such repository or pull request, or none that this token may see.
    #[error(
        "the forge found nothing while {attempted}: {message}; check REPO_URL, GITHUB_TOKEN and FORGE"
    )]
    NotFound {
        /// What was attempted.
        attempted: &'static str,
        /// What the forge said.
        message: String,
    },
    /// The forge understood and said no.
    #[error("the forge refused while {attempted} (status {status}): {message}")]
    Refused {
        /// What was attempted.
        attempted: &'static str,
        /// The HTTP status; a success where the refusal is in the answer itself.
        status: u16,
        /// What the forge said, the single errors included.
        message: String,
    },
    /// Too many requests; may succeed later.
    #[error("the forge limits our requests while {attempted}: {message}")]
    RateLimited {
        /// What was attempted.
        attempted: &'static str,
        /// What the forge said.
        message: String,
        /// How long the forge wants to be left alone.
        retry_after: Duration,
    },
    /// No answer, or one of a broken server; may succeed later.
    #[error("the forge could not be reached while {attempted}: {reason}")]
    Unreachable {
        /// What was attempted.
        attempted: &'static str,
        /// Why.
        reason: String,
    },
    /// An answer that is not what the forge's documentation says.
    #[error("the forge's answer while {attempted} could not be read: {reason}")]
    Malformed {
        /// What was attempted.
        attempted: &'static str,
        /// Why.
        reason: String,
    },
    /// The run is to end; what was not begun is not done any more.
    #[error("cancelled before {attempted}")]
    Cancelled {
        /// What was to be attempted.
        attempted: &'static str,
    },
    /// The pull request does not show what was pushed.
    #[error("pull request {url} should be open to {base} at {expected}, but it is {found}")]
    NotVerified {
        /// The pull request.
        url: String,
        /// The branch that it is to go to.
        base: BranchName,
        /// Our commit.
        expected: CommitId,
        /// State, base and head as they are.
        found: String,
    },
}

impl ForgeError {
    /// Whether the same request may succeed a little later.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::RateLimited { .. })
    }

    /// Whether the forge understood and said no, so that the same request is refused again.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Unauthorised { .. } | Self::NotFound { .. } | Self::Refused { .. })
    }

    /// How long the forge wants to be left alone.
    pub(super) const fn pause(&self) -> Duration {
        match self {
            Self::RateLimited { retry_after, .. } => *retry_after,
            _ => Duration::ZERO,
        }
    }
}
