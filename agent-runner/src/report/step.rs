//! The steps of a run, as the ticket's log names them.

use std::borrow::Cow;

use api_client::wire::Hook;

use super::WorkerStage;

/// The steps of a run, by the names that the app's users know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The container could not be started, so this is the host.
    DockerRunFallback,
    /// A run began.
    SessionStarted,
    /// Settings are complete and the ticket is known.
    ContextLoaded,
    /// Another run works from the same repository of this host.
    WaitingForRepository,
    /// The project's memory was asked when the run began.
    MemoryRetrieveStart,
    /// The project's memory has what the run did.
    MemoryIndexed,
    /// Follow-up tickets were proposed.
    FollowUps,
    /// The ticket's branch is checked out.
    BranchCreated,
    /// The run goes on where an earlier one was ended.
    Resumed,
    /// A review is about to be answered.
    ReviewStarted,
    /// The pull request's branch is checked out.
    BranchCheckedOut,
    /// The review is answered, or there was nothing to answer.
    ReviewComplete,
    /// What the worker is asked.
    WorkerPrompt(WorkerStage),
    /// What the worker did.
    WorkerTurn(WorkerStage),
    /// The ticket is one that sets a project up.
    ProjectSetUp,
    /// The Director approved the plan.
    PlanApproved,
    /// The Director did not, as often as it was asked.
    PlanReviewExhausted,
    /// What the Director makes of this turn.
    DirectorTurn(u32),
    /// The Director could not be reached or understood.
    DirectorFailed,
    /// The repository's set-up command has ended.
    SetUp,
    /// The repository's check has ended, after this turn.
    Check(u32),
    /// The work is published.
    Finalize,
    /// The pull request is open.
    TaskComplete,
    /// A setting is missing or wrong.
    Misconfigured,
    /// The repository could not be fetched.
    CloneFailed,
    /// The worker could not do its work.
    WorkerUnavailable,
    /// A limit of the job was reached.
    BudgetExhausted,
    /// The worker declined or asked, or its work may not be published.
    Blocked,
    /// It waits for a provider's limit to be over.
    Waiting,
    /// It is to go on once a provider's limit is over.
    Parked,
    /// The worker changed nothing.
    NoChanges,
    /// The repository's own checks fail on the work.
    ChecksFailed,
    /// Push or pull request failed.
    PublishFailed,
    /// The run was cancelled.
    Cancelled,
    /// The job is another's by now.
    Superseded,
    /// This kind of job is for a later version.
    NotSupported,
    /// The app did not answer as it must.
    AppUnreachable,
}

impl Step {
    /// The name in the ticket's log.
    pub(crate) fn name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::WorkerPrompt(stage) => return stage.prompt(),
            Self::WorkerTurn(stage) => return stage.turn(),
            Self::DirectorTurn(turn) => return format!("director_turn_{turn}").into(),
            Self::ProjectSetUp => "project_setup_flow",
            Self::PlanApproved => "plan_approved",
            Self::PlanReviewExhausted => "plan_review_exhausted",
            Self::DirectorFailed => "director_failed",
            Self::Check(turn) => return format!("check_{turn}").into(),
            Self::SetUp => "setup",
            Self::Blocked => "blocked",
            Self::Waiting => "waiting",
            Self::Parked => "parked",
            Self::DockerRunFallback => "docker_run_fallback",
            Self::SessionStarted => "session_started",
            Self::ContextLoaded => "context_loaded",
            Self::WaitingForRepository => "waiting_for_repository",
            Self::MemoryRetrieveStart => "memory_retrieve_start",
            Self::MemoryIndexed => "memory_indexed",
            Self::FollowUps => "follow_ups_proposed",
            Self::BranchCreated => "branch_created",
            Self::Resumed => "resumed",
            Self::ReviewStarted => "review_started",
            Self::BranchCheckedOut => "branch_checked_out",
            Self::ReviewComplete => "review_complete",
            Self::Finalize => "finalize",
            Self::TaskComplete => "task_complete",
            Self::Misconfigured => "misconfigured",
            Self::CloneFailed => "clone_failed",
            Self::WorkerUnavailable => "worker_unavailable",
            Self::BudgetExhausted => "budget_exhausted",
            Self::NoChanges => "no_changes",
            Self::ChecksFailed => "checks_failed",
            Self::PublishFailed => "publish_failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::NotSupported => "not_supported",
            Self::AppUnreachable => "app_unreachable",
        })
    }

    /// The hook that it is a checkpoint of, if it is, and the turn of the worker.
    pub(super) const fn hook(self) -> Option<(Hook, Option<u32>)> {
        match self {
            Self::SessionStarted => Some((Hook::Start, None)),
            Self::WorkerTurn(WorkerStage::Turn(turn)) => Some((Hook::Turn, Some(turn))),
            Self::WorkerTurn(_) => Some((Hook::Turn, None)),
            Self::TaskComplete => Some((Hook::Complete, None)),
            step if step.is_failure() => Some((Hook::Error, None)),
            _ => None,
        }
    }

    /// Whether the run fails with it.
    pub(super) const fn is_failure(self) -> bool {
        match self {
            Self::DockerRunFallback
            | Self::SessionStarted
            | Self::ContextLoaded
            | Self::WaitingForRepository
            | Self::MemoryRetrieveStart
            | Self::MemoryIndexed
            | Self::FollowUps
            | Self::BranchCreated
            | Self::Resumed
            | Self::ReviewStarted
            | Self::BranchCheckedOut
            | Self::ReviewComplete
            | Self::WorkerPrompt(_)
            | Self::WorkerTurn(_)
            | Self::ProjectSetUp
            | Self::PlanApproved
            | Self::PlanReviewExhausted
            | Self::DirectorTurn(_)
            | Self::SetUp
            | Self::Check(_)
            | Self::Finalize
            | Self::Waiting
            | Self::Parked
            | Self::TaskComplete => false,
            Self::Misconfigured
            | Self::CloneFailed
            | Self::WorkerUnavailable
            | Self::DirectorFailed
            | Self::BudgetExhausted
            | Self::Blocked
            | Self::NoChanges
            | Self::ChecksFailed
            | Self::PublishFailed
            | Self::Cancelled
            | Self::Superseded
            | Self::NotSupported
            | Self::AppUnreachable => true,
        }
    }
}
