//! What a turn of the worker is for, and what the ticket's log calls it.

use std::borrow::Cow;

/// What a turn of the worker is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerStage {
    /// It looks around.
    Research,
    /// It writes a plan.
    Plan,
    /// It mends the plan, after this review.
    PlanReview(u32),
    /// It sets a project up.
    SetUp,
    /// It does the work.
    Turn(u32),
}

impl WorkerStage {
    pub(super) fn prompt(self) -> Cow<'static, str> {
        match self {
            Self::Research => "worker_research_prompt".into(),
            Self::Plan => "worker_plan_prompt".into(),
            Self::PlanReview(review) => format!("worker_plan_review_{review}_prompt").into(),
            Self::SetUp => "worker_setup_prompt".into(),
            Self::Turn(turn) => format!("worker_turn_{turn}_prompt").into(),
        }
    }

    pub(super) fn turn(self) -> Cow<'static, str> {
        match self {
            Self::Research => "worker_research_done".into(),
            Self::Plan => "worker_plan_done".into(),
            Self::PlanReview(review) => format!("worker_plan_review_{review}").into(),
            Self::SetUp => "worker_setup_done".into(),
            Self::Turn(turn) => format!("worker_turn_{turn}").into(),
        }
    }
}
