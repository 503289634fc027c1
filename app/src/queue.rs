//! The rules of the job queue: pure functions over the state of a job. The store applies them inside
//! its transactions.
//!
//! Invariants: a job that has ended stays as it is; of all the claims that ever had a job, one at
//! most can still do anything to it; a job is parked so often a day and in all, and no longer than a day.

use api_client::ClaimId;

use crate::clock::Timestamp;
use crate::model::JobStatus;

/// How often a job can be parked within [`PARKINGS_WITHIN`]: one that comes to the same limit again and again
/// is no pause.
pub(crate) const PARKINGS_MAX: u32 = 10;

/// How often a job can be parked in all. Each time it begins with whole budgets of its own.
pub(crate) const PARKINGS_IN_ALL: u32 = 30;

/// The time for which parkings of late are counted, in milliseconds.
pub(crate) const PARKINGS_WITHIN: i64 = 24 * 3_600_000;

/// How far ahead a parked job is due at least and at most, in milliseconds: a limit that was over already
/// would have it back at once, and what a provider says of next week is asked again tomorrow.
const PAUSE_MIN: i64 = 10_000;
pub(crate) const PAUSE_MAX: i64 = 24 * 3_600_000;

/// What the rules look at of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobState {
    pub(crate) status: JobStatus,
    /// How often it was claimed.
    pub(crate) attempt: u32,
    /// The newest claim of it, if that had an id.
    pub(crate) claim: Option<ClaimId>,
    pub(crate) cancel_requested: bool,
}

/// How the claimer says that a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The work was delivered.
    Completed,
    /// It was not.
    Failed(Failure),
    /// It was stopped on request.
    Cancelled(Failure),
}

/// Why a job was not delivered; the original coordinator says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In words.
    pub(crate) reason: Option<String>,
    /// In one word, for programs.
    pub(crate) cause: Option<String>,
}

/// What a request to cancel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancellation {
    /// The job waits: it is taken out of the queue.
    Withdraw,
    /// The job runs: the agent is asked to stop, its coordinator reports the end.
    Ask,
    /// There is nothing to cancel.
    Nothing,
}

/// What becomes of a running job whose lease expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// It waits again.
    Requeue,
    /// It was tried often enough.
    Fail,
    /// It was to stop, and no one is there who could say that it did.
    Cancel,
}

/// What becomes of a job that its claimer parks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parking {
    /// It waits again, from then on.
    Until(Timestamp),
    /// It was parked often enough.
    Fail,
    /// It was to stop.
    Cancel,
    /// This claim does not hold it: nothing is changed.
    Refused,
}

/// The cause that says that a job was stopped on request.
const CANCELLED: &str = "cancelled";

impl Outcome {
    /// The outcome of a job that was not delivered.
    pub(crate) fn undelivered(failure: Failure) -> Self {
        match failure.cause.as_deref() {
            Some(CANCELLED) => Self::Cancelled(failure),
            Some(_) | None => Self::Failed(failure),
        }
    }

    const fn status(&self) -> JobStatus {
        match self {
            Self::Completed => JobStatus::Completed,
            Self::Failed(_) => JobStatus::Failed,
            Self::Cancelled(_) => JobStatus::Cancelled,
        }
    }
}

/// Whether a job still waits or runs, so that its ticket cannot have another.
pub(crate) const fn is_active(status: JobStatus) -> bool {
    match status {
        JobStatus::Pending | JobStatus::Running => true,
        JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled => false,
    }
}

/// Whether a ticket may get a new job, by the state of its newest one.
pub(crate) fn may_enqueue(newest: Option<JobStatus>) -> bool {
    !newest.is_some_and(is_active)
}

/// Whether a claim holds a job: the job runs by it, or its lease expired and no one has claimed the
/// job since.
pub(crate) fn holds(job: &JobState, claim: ClaimId) -> bool {
    job.claim == Some(claim) && is_active(job.status)
}

/// Whether a report of a job's end is taken. With a claim, it must hold the job; without, the job must
/// run: the first report stands.
pub(crate) fn heeds(job: &JobState, by: Option<ClaimId>) -> bool {
    match by {
        Some(claim) => holds(job, claim),
        None => job.status == JobStatus::Running,
    }
}

/// The state after a report, or `None` where it is refused.
pub(crate) fn settle(job: &JobState, by: Option<ClaimId>, outcome: &Outcome) -> Option<JobStatus> {
    heeds(job, by).then(|| outcome.status())
}

/// What becomes of a running job whose lease expired.
pub(crate) const fn expire(job: &JobState, max_attempts: u32) -> Expiry {
    if job.cancel_requested {
        Expiry::Cancel
    } else if job.attempt >= max_attempts {
        Expiry::Fail
    } else {
        Expiry::Requeue
    }
}

/// How often a job was parked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parkings {
    /// Within [`PARKINGS_WITHIN`].
    pub(crate) of_late: u32,
    pub(crate) in_all: u32,
}

/// What becomes of a job that this claim parks until then, after these parkings.
pub(crate) fn park(
    job: &JobState,
    by: ClaimId,
    until: Timestamp,
    parkings: Parkings,
    now: Timestamp,
) -> Parking {
    if !holds(job, by) {
        return Parking::Refused;
    }
    if job.cancel_requested {
        return Parking::Cancel;
    }
    if parkings.of_late >= PARKINGS_MAX || parkings.in_all >= PARKINGS_IN_ALL {
        return Parking::Fail;
    }
    Parking::Until(until.clamp(now.plus(PAUSE_MIN), now.plus(PAUSE_MAX)))
}

/// What a request to cancel does to a ticket's newest job.
pub(crate) const fn cancel(newest: Option<JobStatus>) -> Cancellation {
    match newest {
        Some(JobStatus::Pending) => Cancellation::Withdraw,
        Some(JobStatus::Running) => Cancellation::Ask,
        Some(JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled) | None => {
            Cancellation::Nothing
        }
    }
}

#[cfg(test)]
mod tests;
