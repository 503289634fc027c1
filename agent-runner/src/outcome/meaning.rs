//! What the end of a run means: whether work is left, its exit code, its step in the ticket's log.

use api_client::ApiError;
use api_client::contract::AgentExit;

use super::{Published, RunError};
use crate::checkout::CheckoutError;
use crate::director::DirectorError;
use crate::model_gateway::ModelGatewayError;
use crate::pressure::Limit;
use crate::publish::PublishError;
use crate::report::Step;
use crate::worker::Ending;

impl RunError {
    /// Whether there may be work in the tree that nobody else has yet, and that may be saved. Of a job
    /// that is another's nothing is: whoever has it now is not to be disturbed.
    pub(crate) const fn leaves_work(&self) -> bool {
        match self {
            Self::Worker(_)
            | Self::Turn(_)
            | Self::Director(_)
            | Self::TurnsUsedUp { .. }
            | Self::Stagnated { .. }
            | Self::Parked { .. }
            | Self::Limited { .. }
            | Self::SetUp { .. }
            | Self::Commit(_)
            | Self::Freshness { .. }
            | Self::LfsNotGathered(_)
            | Self::LfsNotSent(_)
            | Self::Push { .. }
            | Self::NotConfirmed { .. }
            | Self::LeaseUnknown { published: Published::Nothing, .. }
            | Self::Cancelled(_)
            | Self::Blocked { .. }
            | Self::Reverts { .. }
            | Self::ReviewNotNoted(_)
            | Self::ReviewOver { .. }
            | Self::ChecksFailed { proposed: None, .. } => true,
            Self::Settings(_)
            | Self::Prompt(_)
            | Self::Author(_)
            | Self::Forge(_)
            | Self::App(_)
            | Self::Context(_)
            | Self::NoTicket
            | Self::Folder { .. }
            | Self::Checkout(_)
            | Self::ProjectFile(_)
            | Self::InnerDocker(_)
            | Self::Model(_)
            | Self::NotAlone(_)
            | Self::NoChanges { .. }
            | Self::PullRequest { .. }
            | Self::Completion { .. }
            | Self::Superseded { .. }
            | Self::LeaseUnknown { .. }
            | Self::ChecksFailed { .. }
            | Self::ReviewRefused { .. }
            | Self::ReviewUnread(_)
            | Self::ReplyNotPosted { .. }
            | Self::CutShort => false,
        }
    }

    /// Whether the ticket's work came to an end with it, so that another try begins anew. After any other, the next one
    /// may go on where this one was.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::NoChanges { .. }
                | Self::ChecksFailed { .. }
                | Self::Blocked { .. }
                | Self::Reverts { .. }
                | Self::Stagnated { .. }
                | Self::Turn(Ending::Refused(_) | Ending::NeedsInput(_))
                // The remote's word on what is in it.
                | Self::Push { source: PublishError::Refused { .. }, .. }
        )
    }

    /// Whether something outside of the run, that may be back the next time, kept it from going on. What the model of a
    /// worker's turn had to do with its end, its gateway tells.
    pub(crate) const fn is_outage(&self) -> bool {
        match self {
            Self::Parked { .. }
            | Self::Context(_)
            | Self::Completion { .. }
            | Self::LeaseUnknown { .. }
            | Self::Director(DirectorError::NoAnswer { .. } | DirectorError::Limited { .. }) => {
                true
            }
            Self::Checkout(CheckoutError::Git(error))
            | Self::Freshness { source: PublishError::Git(error), .. }
            | Self::Push { source: PublishError::Git(error), .. }
            | Self::NotConfirmed { source: PublishError::Git(error), .. }
            | Self::LfsNotGathered(PublishError::Git(error))
            | Self::LfsNotSent(PublishError::Git(error)) => error.is_outage(),
            Self::PullRequest { source, .. } => source.is_transient(),
            _ => false,
        }
    }

    /// The process exit code that stands for it.
    pub(crate) const fn exit(&self) -> AgentExit {
        match self {
            // The repository's host was asked which forge it is, and did not answer.
            Self::Forge(error) if error.is_transient() => AgentExit::CloneFailed,
            Self::Settings(_)
            | Self::Prompt(_)
            | Self::Author(_)
            | Self::Forge(_)
            | Self::App(_)
            | Self::ProjectFile(_)
            | Self::Model(ModelGatewayError::Key { .. })
            | Self::Director(DirectorError::Key { .. } | DirectorError::Client(_)) => {
                AgentExit::Misconfigured
            }
            Self::Turn(Ending::BudgetExhausted(_))
            | Self::Director(DirectorError::Budget(_))
            | Self::TurnsUsedUp { .. }
            | Self::Stagnated { .. } => AgentExit::BudgetExhausted,
            Self::Parked { .. } => AgentExit::Parked,
            Self::Director(
                DirectorError::NoAnswer { .. }
                | DirectorError::Limited { .. }
                | DirectorError::Unusable { .. },
            ) => AgentExit::DirectorFailed,
            Self::Turn(Ending::Refused(_) | Ending::NeedsInput(_))
            | Self::Blocked { .. }
            | Self::Reverts { .. }
            | Self::ReviewRefused { .. }
            | Self::ReviewOver { .. }
            | Self::Checkout(CheckoutError::HeadIsDefault { .. }) => AgentExit::Blocked,
            // The app answers, and says that key or ids are wrong.
            Self::Context(ApiError::Unauthorised { .. } | ApiError::Gone { .. }) => {
                AgentExit::Misconfigured
            }
            Self::Context(_)
            | Self::NoTicket
            | Self::LeaseUnknown { .. }
            | Self::Completion { .. } => AgentExit::AppUnreachable,
            Self::Superseded { .. } => AgentExit::Superseded,
            Self::Checkout(_) => AgentExit::CloneFailed,
            Self::Folder { .. }
            | Self::InnerDocker(_)
            | Self::Model(_)
            | Self::Worker(_)
            | Self::NotAlone(_)
            | Self::SetUp { .. }
            | Self::Turn(_) => AgentExit::WorkerFailed,
            Self::Limited { limit: Limit::Memory(_), .. } => AgentExit::OutOfMemory,
            Self::Limited { limit: Limit::Processes(_), .. } => AgentExit::ProcessLimit,
            Self::NoChanges { .. } => AgentExit::NoChanges,
            Self::ChecksFailed { .. } => AgentExit::ChecksFailed,
            Self::Commit(_)
            | Self::Freshness { .. }
            | Self::LfsNotGathered(_)
            | Self::LfsNotSent(_)
            | Self::Push { .. }
            | Self::NotConfirmed { .. }
            | Self::PullRequest { .. }
            | Self::ReviewUnread(_)
            | Self::ReviewNotNoted(_)
            | Self::ReplyNotPosted { .. } => AgentExit::PublishFailed,
            Self::Cancelled(_) | Self::CutShort | Self::Director(DirectorError::Cancelled) => {
                AgentExit::Cancelled
            }
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
            AgentExit::Superseded => Step::Superseded,
            AgentExit::Delivered => Step::TaskComplete,
            AgentExit::BudgetExhausted => Step::BudgetExhausted,
            AgentExit::DirectorFailed => Step::DirectorFailed,
            AgentExit::WorkerFailed | AgentExit::OutOfMemory | AgentExit::ProcessLimit => {
                Step::WorkerUnavailable
            }
            AgentExit::Blocked => Step::Blocked,
            AgentExit::Parked => Step::Parked,
            AgentExit::ChecksFailed => Step::ChecksFailed,
        }
    }
}
