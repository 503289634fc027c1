//! Why a run ends without a pull request, each reason with its exit code.

use api_client::contract::AgentExit;
use api_client::{ApiError, ClientError};

use crate::checkout::CheckoutError;
use crate::forge::ForgeError;
use crate::inner_docker::InnerDockerError;
use crate::processes::NotAlone;
use crate::publish::PublishError;
use crate::report::Step;
use crate::settings::SettingsError;
use crate::worker::{Ending, WorkerError};

/// A run that was not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The author of commits cannot be used.
    #[error("GIT_USER_NAME and GIT_USER_EMAIL do not make an author")]
    Author(#[source] PublishError),
    /// The forge cannot be spoken to with these settings.
    #[error("no pull request could be opened with these settings")]
    Forge(#[source] ForgeError),
    /// The client of the app cannot be set up.
    #[error("the app cannot be called")]
    App(#[from] ClientError),
    /// The app did not send the ticket.
    #[error("the ticket could not be had from the app")]
    Context(#[source] ApiError),
    /// The app sent a context without the ticket itself.
    #[error("the app's answer has no ticket in it (current_ticket)")]
    NoTicket,
    /// A folder of this machine could not be used.
    #[error("cannot {attempted}")]
    Folder {
        /// What was attempted.
        attempted: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The repository could not be fetched.
    #[error("the repository could not be fetched")]
    Checkout(#[source] CheckoutError),
    /// The inner Docker engine cannot be offered.
    #[error(transparent)]
    InnerDocker(#[from] InnerDockerError),
    /// The coding CLI could not be run.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The coding CLI's turn did not end well.
    #[error("{0}")]
    Turn(Ending),
    /// Something of the worker may still run, and could take the forge's token.
    #[error("nothing is published while something of the worker may run")]
    NotAlone(#[from] NotAlone),
    /// The coding CLI's turn ended well, and nothing is different.
    #[error("the worker ended well and changed nothing")]
    NoChanges,
    /// The work could not be committed.
    #[error("the work could not be committed")]
    Commit(#[source] PublishError),
    /// The work could not be pushed.
    #[error("the work could not be pushed")]
    Push {
        /// The branch.
        branch: String,
        /// Why.
        #[source]
        source: PublishError,
    },
    /// The push succeeded, and the remote does not show or say it.
    #[error("branch {branch} was pushed, but the remote did not confirm it")]
    NotConfirmed {
        /// The branch.
        branch: String,
        /// Why.
        #[source]
        source: PublishError,
    },
    /// The branch is pushed; the pull request could not be opened or confirmed.
    #[error("branch {branch} is pushed, but there is no confirmed pull request")]
    PullRequest {
        /// The branch.
        branch: String,
        /// Why.
        #[source]
        source: ForgeError,
    },
    /// The pull request is open, and the app does not know.
    #[error("{url} is open, but the app did not take the completion")]
    Completion {
        /// The pull request.
        url: String,
        /// Why.
        #[source]
        source: ApiError,
    },
    /// The app asked for the end, or the runner was told to stop.
    #[error("cancelled before anything was published")]
    Cancelled,
    /// The same, when the push had begun at least.
    #[error(
        "cancelled while the work was published: branch {branch} may be on the remote, without a \
         confirmed pull request"
    )]
    CancelledLate {
        /// The branch.
        branch: String,
    },
    /// The same, but what was to be brought to an end took too long.
    #[error("cancelled; the run was cut short, the step before this one tells how far it came")]
    CutShort,
    /// This kind of job is for a later version.
    #[error("review jobs cannot be done by this version of agent-runner")]
    ReviewNotSupported,
}

impl RunError {
    /// What it means for a run that was cancelled: whatever failed was interrupted. A pull request
    /// that is open stays what it is.
    pub(crate) fn when_cancelled(self) -> Self {
        match self {
            Self::Completion { .. } => self,
            Self::Push { branch, .. }
            | Self::NotConfirmed { branch, .. }
            | Self::PullRequest { branch, .. } => Self::CancelledLate { branch },
            _ => Self::Cancelled,
        }
    }

    /// The process exit code that stands for it.
    pub(crate) const fn exit(&self) -> AgentExit {
        match self {
            Self::Settings(_) | Self::Author(_) | Self::Forge(_) | Self::App(_) => {
                AgentExit::Misconfigured
            }
            // The app answers, and says that key or ids are wrong.
            Self::Context(ApiError::Unauthorised { .. } | ApiError::Gone { .. }) => {
                AgentExit::Misconfigured
            }
            Self::Context(_) | Self::NoTicket | Self::Completion { .. } => {
                AgentExit::AppUnreachable
            }
            Self::Checkout(_) => AgentExit::CloneFailed,
            Self::Folder { .. }
            | Self::InnerDocker(_)
            | Self::Worker(_)
            | Self::NotAlone(_)
            | Self::Turn(_) => AgentExit::WorkerFailed,
            Self::NoChanges => AgentExit::NoChanges,
            Self::Commit(_)
            | Self::Push { .. }
            | Self::NotConfirmed { .. }
            | Self::PullRequest { .. } => AgentExit::PublishFailed,
            Self::Cancelled | Self::CancelledLate { .. } | Self::CutShort => AgentExit::Cancelled,
            Self::ReviewNotSupported => AgentExit::NotSupported,
        }
    }

    /// The step under which the ticket's log shows it.
    pub(crate) const fn step(&self) -> Step {
        match self.exit() {
            AgentExit::Misconfigured => Step::Misconfigured,
            AgentExit::CloneFailed => Step::CloneFailed,
            AgentExit::NoChanges => Step::NoChanges,
            AgentExit::Cancelled => Step::Cancelled,
            AgentExit::PublishFailed => Step::PublishFailed,
            AgentExit::AppUnreachable => Step::AppUnreachable,
            AgentExit::NotSupported => Step::NotSupported,
            AgentExit::Delivered => Step::TaskComplete,
            AgentExit::WorkerFailed | AgentExit::DirectorFailed | AgentExit::BudgetExhausted => {
                Step::WorkerUnavailable
            }
        }
    }
}
