//! The rules of the job queue: pure functions over the state of a ticket's newest job. The store
//! applies them inside its transactions.

use crate::model::JobStatus;

/// How the claimer says that a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The work was delivered.
    Completed,
    /// It was not.
    Failed {
        /// Cause in words; the original coordinator sends none.
        reason: Option<String>,
    },
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

/// The state after a report, or `None` where the job is not running and the report is refused: the
/// first report stands.
pub(crate) const fn settle(status: JobStatus, outcome: &Outcome) -> Option<JobStatus> {
    match status {
        JobStatus::Running => Some(match outcome {
            Outcome::Completed => JobStatus::Completed,
            Outcome::Failed { .. } => JobStatus::Failed,
        }),
        JobStatus::Pending | JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled => {
            None
        }
    }
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
mod tests {
    use super::*;

    const ENDED: [JobStatus; 3] = [JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled];

    #[test]
    fn a_ticket_has_one_job_at_a_time() {
        assert!(may_enqueue(None));
        assert!(!may_enqueue(Some(JobStatus::Pending)));
        assert!(!may_enqueue(Some(JobStatus::Running)));
        assert!(ENDED.into_iter().all(|ended| may_enqueue(Some(ended))));
    }

    #[test]
    fn only_a_running_job_takes_a_report_and_only_once() {
        let failed = Outcome::Failed { reason: None };
        for (outcome, end) in
            [(Outcome::Completed, JobStatus::Completed), (failed, JobStatus::Failed)]
        {
            assert_eq!(settle(JobStatus::Running, &outcome), Some(end));
            assert_eq!(settle(end, &outcome), None);
            assert_eq!(settle(JobStatus::Pending, &outcome), None);
            assert_eq!(settle(JobStatus::Cancelled, &outcome), None);
        }
    }

    #[test]
    fn cancelling_withdraws_what_waits_and_asks_what_runs() {
        assert_eq!(cancel(Some(JobStatus::Pending)), Cancellation::Withdraw);
        assert_eq!(cancel(Some(JobStatus::Running)), Cancellation::Ask);
        assert_eq!(cancel(None), Cancellation::Nothing);
        for ended in ENDED {
            assert_eq!(cancel(Some(ended)), Cancellation::Nothing);
        }
    }
}
