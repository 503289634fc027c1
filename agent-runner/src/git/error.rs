//! How commands fail, by what can be done about it.

use std::fmt;
use std::io;
use std::time::Duration;

/// A git command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// The program could not be run, or its private folder could not be made.
    #[error(
        "{operation} could not be started; is git installed and its temporary folder writable?"
    )]
    Start {
        /// What was attempted.
        operation: Operation,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The remote did not accept the token, or there was none.
    #[error(
        "{operation}: {on} refused access; is the token set, valid and allowed to do this? ({detail})"
    )]
    Unauthorised {
        /// What was attempted.
        operation: Operation,
        /// The repository.
        on: String,
        /// What git said.
        detail: String,
    },
    /// The remote knows no such repository, or does not show it to this token.
    #[error("{operation}: {on} does not exist or is hidden from this token ({detail})")]
    NotFound {
        /// What was attempted.
        operation: Operation,
        /// The repository.
        on: String,
        /// What git said.
        detail: String,
    },
    /// The remote did not answer, or broke off; may succeed later.
    #[error("{operation}: {on} could not be reached ({detail})")]
    Unreachable {
        /// What was attempted.
        operation: Operation,
        /// The repository.
        on: String,
        /// What git said.
        detail: String,
    },
    /// Anything else that git reported.
    #[error("{operation} of {on} failed: {detail}")]
    Failed {
        /// What was attempted.
        operation: Operation,
        /// The repository or folder.
        on: String,
        /// What git said.
        detail: String,
    },
    /// It took too long and was ended.
    #[error("{operation} of {on} was ended after {} s", limit.as_secs())]
    TimedOut {
        /// What was attempted.
        operation: Operation,
        /// The repository or folder.
        on: String,
        /// How long it was given.
        limit: Duration,
    },
    /// The run was cancelled.
    #[error("{operation} of {on} was cancelled")]
    Cancelled {
        /// What was attempted.
        operation: Operation,
        /// The repository or folder.
        on: String,
    },
}

impl GitError {
    /// Whether the same command may succeed a little later.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether it is the remote that keeps the command from its end, and not what is to be done.
    pub(crate) const fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unauthorised { .. } => true,
            Self::TimedOut { operation, .. } => !operation.is_local(),
            Self::Start { .. }
            | Self::NotFound { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. } => false,
        }
    }
}

/// What a command is for; decides its time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Reading the remote's branches.
    LsRemote,
    /// Getting a repository.
    Clone,
    /// Getting a branch into a repository.
    Fetch,
    /// Making the index of a pack.
    Unpack,
    /// Sending a branch.
    Push,
    /// Removing a branch that is of no more use; nothing depends on it.
    Remove,
    /// Reading the remote's branches after a push.
    Verify,
    /// Getting files of Git LFS.
    LfsFetch,
    /// Sending files of Git LFS.
    LfsPush,
    /// Work within one machine.
    Local(&'static str),
    /// The same, but done for a run that was cancelled, too.
    CleanUp(&'static str),
}

impl Operation {
    /// Whether no remote has a part in it.
    const fn is_local(self) -> bool {
        matches!(self, Self::Unpack | Self::Local(_) | Self::CleanUp(_))
    }

    /// Whether it is done although the run was cancelled.
    pub(super) const fn outlives_the_run(self) -> bool {
        matches!(self, Self::CleanUp(_))
    }

    /// How often it is started in all when the remote cannot be reached. Once there is work to lose,
    /// a remote that restarts is waited for: 8 tries are about two minutes.
    pub(super) const fn tries(self) -> usize {
        match self {
            Self::Push | Self::LfsPush | Self::Verify => 8,
            Self::Remove => 1,
            Self::LsRemote
            | Self::Clone
            | Self::Fetch
            | Self::LfsFetch
            | Self::Unpack
            | Self::Local(_)
            | Self::CleanUp(_) => 3,
        }
    }

    pub(super) const fn limit(self) -> Duration {
        match self {
            Self::LsRemote | Self::Verify => Duration::from_secs(60),
            Self::Clone | Self::Fetch | Self::Unpack => Duration::from_secs(600),
            Self::LfsFetch | Self::LfsPush => Duration::from_secs(1200),
            Self::Push => Duration::from_secs(300),
            Self::Remove => Duration::from_secs(10),
            Self::Local(_) | Self::CleanUp(_) => Duration::from_secs(120),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LsRemote | Self::Verify => f.write_str("git ls-remote"),
            Self::Clone => f.write_str("git clone"),
            Self::Fetch => f.write_str("git fetch"),
            Self::Unpack => f.write_str("git index-pack"),
            Self::Push | Self::Remove => f.write_str("git push"),
            Self::LfsFetch => f.write_str("git lfs fetch"),
            Self::LfsPush => f.write_str("git lfs push"),
            Self::Local(command) | Self::CleanUp(command) => write!(f, "git {command}"),
        }
    }
}
