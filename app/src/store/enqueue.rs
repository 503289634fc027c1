//! Jobs that somebody asks for: a review, another try of one that has ended.
//!
//! Invariant: a ticket has one job that waits or runs, and so has a pull request, whichever tickets name it.

use api_client::wire::JobKind;
use api_client::{JobId, ProjectId, TicketId};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreError, job, parking, review, ticket, to_sql, typed};
use crate::clock::Timestamp;
use crate::model::{Job, LatestJob};
use crate::queue;

/// What became of a new job.
#[derive(Debug)]
pub(crate) enum Queued {
    Job(Box<Job>),
    /// The ticket has a job that waits or runs, or its pull request has.
    Refused(LatestJob),
    NoSuchTicket,
}

/// A review comment to be answered.
#[derive(Clone, Debug)]
pub(crate) struct NewReview {
    pub(crate) pr_number: u64,
    pub(crate) comment_body: String,
    pub(crate) github_comment_id: Option<u64>,
}

/// The projects of the repository of the project `?1`, as a condition for the table of jobs.
pub(super) const OF_REPOSITORY: &str = "project_id IN (SELECT p.id FROM projects p
    WHERE p.id = ?1 OR p.repo_url = (SELECT o.repo_url FROM projects o WHERE o.id = ?1))";

impl Store {
    /// Puts a review job in the queue.
    pub(crate) async fn enqueue_review(
        &self,
        project: ProjectId,
        id: TicketId,
        review: NewReview,
        now: Timestamp,
    ) -> Result<Queued, StoreError> {
        self.write(move |tx| {
            let Some(ticket) = ticket::find_in(tx, project, id)? else {
                return Ok(Queued::NoSuchTicket);
            };
            if let Some(newest) = ticket.job
                && !queue::may_enqueue(Some(newest.status))
            {
                return Ok(Queued::Refused(newest));
            }
            let kind = JobKind::Review {
                pr_number: review.pr_number,
                comment_body: review.comment_body,
                github_comment_id: review.github_comment_id,
            };
            if let Some(other) = under_review(tx, project, &kind)? {
                return Ok(Queued::Refused(other));
            }
            let id = job::enqueue(tx, &ticket, &kind, now)?;
            queued(tx, id)
        })
        .await
    }

    /// Puts a job of the same ticket and kind in the queue, whose ticket is in progress again; where the
    /// ticket's own is parked, that one is due at once. There is no such ticket where there is no such job.
    pub(crate) async fn retry(&self, id: JobId, now: Timestamp) -> Result<Queued, StoreError> {
        self.write(move |tx| {
            let Some(old) = job::find(tx, id)? else { return Ok(Queued::NoSuchTicket) };
            let Some(ticket) = ticket::find_in(tx, old.project_id, old.ticket_id)? else {
                return Ok(Queued::NoSuchTicket);
            };
            if let Some(newest) = ticket.job
                && !queue::may_enqueue(Some(newest.status))
            {
                if !parking::make_due(tx, ticket.id, now)? {
                    return Ok(Queued::Refused(newest));
                }
                return queued(tx, newest.job_id);
            }
            if let Some(other) = under_review(tx, old.project_id, &old.kind)? {
                return Ok(Queued::Refused(other));
            }
            let new = job::enqueue(tx, &ticket, &old.kind, now)?;
            review::inherit(tx, id, new)?;
            if matches!(old.kind, JobKind::Ticket) {
                ticket::reopen(tx, ticket, now)?;
            }
            queued(tx, new)
        })
        .await
    }
}

/// The review job that waits or runs for the pull request that a job would be for.
fn under_review(
    tx: &Connection,
    project: ProjectId,
    kind: &JobKind,
) -> rusqlite::Result<Option<LatestJob>> {
    let JobKind::Review { pr_number, .. } = kind else { return Ok(None) };
    let sql = format!(
        "SELECT id, status FROM jobs WHERE {OF_REPOSITORY} AND kind = 'review'
            AND pr_number = ?2 AND status IN ('pending', 'running')"
    );
    let values = params![project.to_string(), to_sql(Some(*pr_number))];
    let mut statement = tx.prepare_cached(&sql)?;
    let found = statement.query_row(values, |row| {
        Ok(LatestJob { job_id: typed(row, "id")?, status: typed(row, "status")? })
    });
    found.optional()
}

fn queued(tx: &Connection, id: JobId) -> rusqlite::Result<Queued> {
    let job = job::find(tx, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(Queued::Job(Box::new(job)))
}
