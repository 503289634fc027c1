//! Jobs as they are looked at, and what is done to them inside of transactions. The rules are in [`queue`]; how
//! they are handed out and come back is in [`claim`](super::claim).

use std::collections::BTreeMap;

use api_client::wire::{JobKind, Waiting};
use api_client::{JobId, ProjectId, TicketId};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::parking::{DUE, latest};
use super::{
    Store, StoreError, budget, optional, optional_time, ticket, time, to_sql, typed, unsigned,
};
use crate::clock::Timestamp;
use crate::model::{Job, JobStatus, LatestJob, Ticket};
use crate::queue::{self, Cancellation, Failure};

/// Which jobs to list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    pub(crate) status: Option<JobStatus>,
    pub(crate) project: Option<ProjectId>,
    pub(crate) ticket: Option<TicketId>,
    pub(crate) limit: u32,
}

impl Store {
    pub(crate) async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.read(move |tx| find(tx, id)).await
    }

    /// Jobs, newest first.
    pub(crate) async fn jobs(&self, filter: Filter) -> Result<Vec<Job>, StoreError> {
        self.read(move |tx| {
            let sql = "SELECT * FROM jobs
                WHERE (:status IS NULL OR status = :status)
                    AND (:project IS NULL OR project_id = :project)
                    AND (:ticket IS NULL OR ticket_id = :ticket)
                ORDER BY seq DESC LIMIT :limit";
            let mut statement = tx.prepare_cached(sql)?;
            let rows = statement.query_map(
                named_params! {
                    ":status": filter.status.map(JobStatus::name),
                    ":project": filter.project.map(|id| id.to_string()),
                    ":ticket": filter.ticket.map(|id| id.to_string()),
                    ":limit": filter.limit,
                },
                read_job,
            )?;
            rows.collect()
        })
        .await
    }

    /// What waits in the queue, by project.
    pub(crate) async fn waiting(
        &self,
        now: Timestamp,
    ) -> Result<BTreeMap<ProjectId, Waiting>, StoreError> {
        self.read(move |tx| {
            let sql = format!(
                "SELECT project_id, over, COUNT(*) FILTER (WHERE due) AS jobs,
                    MIN(COALESCE(not_before, created_at)) FILTER (WHERE due) AS oldest,
                    COUNT(*) FILTER (WHERE NOT due) AS parked,
                    MIN(not_before) FILTER (WHERE NOT due) AS parked_until
                FROM (SELECT *, {DUE} AS due,
                        project_id IN ({}) AS over
                    FROM jobs WHERE status = 'pending')
                GROUP BY project_id",
                budget::over()
            );
            let mut statement = tx.prepare_cached(&sql)?;
            let values = named_params! {
                ":now": now.millis(),
                ":latest": latest(now),
                ":day": now.day().millis(),
            };
            let rows = statement
                .query_map(values, |row| Ok((typed(row, "project_id")?, waiting(row, now)?)))?;
            rows.collect()
        })
        .await
    }

    /// Cancels the newest job of a ticket. `None` when there is no such ticket.
    pub(crate) async fn cancel(
        &self,
        project: ProjectId,
        id: TicketId,
        now: Timestamp,
    ) -> Result<Option<Cancellation>, StoreError> {
        self.write(move |tx| {
            let Some(ticket) = ticket::find_in(tx, project, id)? else {
                return Ok(None);
            };
            withdraw(tx, &ticket, now).map(Some)
        })
        .await
    }

    /// Whether the newest job of a ticket is to stop: a new job begins with the answer no.
    pub(crate) async fn cancel_requested(
        &self,
        project: ProjectId,
        id: TicketId,
    ) -> Result<Option<bool>, StoreError> {
        self.read(move |tx| {
            let Some(ticket) = ticket::find_in(tx, project, id)? else {
                return Ok(None);
            };
            let job = match ticket.job {
                Some(newest) => find(tx, newest.job_id)?,
                None => None,
            };
            Ok(Some(job.is_some_and(|job| job.cancel_requested)))
        })
        .await
    }
}

/// Adds a job to the end of the queue, inside a transaction that has checked the rules.
pub(super) fn enqueue(
    tx: &Connection,
    ticket: &Ticket,
    kind: &JobKind,
    now: Timestamp,
) -> rusqlite::Result<JobId> {
    let (pr_number, comment, comment_id) = match kind {
        JobKind::Ticket => (None, None, None),
        JobKind::Review { pr_number, comment_body, github_comment_id } => {
            (Some(*pr_number), Some(comment_body), *github_comment_id)
        }
    };
    let id = JobId::random();
    let sql = "INSERT INTO jobs (id, project_id, ticket_id, kind, status, pr_number, comment_body,
            github_comment_id, created_at)
        VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?7, ?8)";
    tx.prepare_cached(sql)?.execute(params![
        id.to_string(),
        ticket.project_id.to_string(),
        ticket.id.to_string(),
        kind.name(),
        to_sql(pr_number),
        comment,
        to_sql(comment_id),
        now.millis(),
    ])?;
    Ok(id)
}

/// Cancels the newest job of a ticket, inside a transaction.
pub(super) fn withdraw(
    tx: &Connection,
    ticket: &Ticket,
    now: Timestamp,
) -> rusqlite::Result<Cancellation> {
    let effect = queue::cancel(ticket.job.map(|job| job.status));
    if let Some(LatestJob { job_id, .. }) = ticket.job
        && effect != Cancellation::Nothing
    {
        let flag = "UPDATE jobs SET cancel_requested = 1 WHERE id = ?1";
        tx.execute(flag, [job_id.to_string()])?;
        if effect == Cancellation::Withdraw {
            finish(tx, job_id, JobStatus::Cancelled, &Failure::default(), now)?;
        }
    }
    Ok(effect)
}

/// What waits of one project.
fn waiting(row: &Row<'_>, now: Timestamp) -> rusqlite::Result<Waiting> {
    let due = unsigned(row, "jobs")?.unwrap_or_default();
    let oldest = optional_time(row, "oldest")?.unwrap_or(now);
    let millis = u64::try_from(now.millis().saturating_sub(oldest.millis())).unwrap_or(0);
    let parked = Waiting {
        parked: unsigned(row, "parked")?.unwrap_or_default(),
        parked_until: optional_time(row, "parked_until")?.map(Timestamp::utc),
        ..Waiting::default()
    };
    Ok(if due > 0 && row.get("over")? {
        Waiting { over_budget: due, budget_until: Some(now.next_day().utc()), ..parked }
    } else {
        Waiting { jobs: due, oldest_sec: millis / 1_000, ..parked }
    })
}

pub(super) fn find(tx: &Connection, id: JobId) -> rusqlite::Result<Option<Job>> {
    tx.prepare_cached("SELECT * FROM jobs WHERE id = ?1")?
        .query_row([id.to_string()], read_job)
        .optional()
}

/// Records the end of a job, inside a transaction that has checked the rules.
pub(super) fn finish(
    tx: &Connection,
    id: JobId,
    end: JobStatus,
    failure: &Failure,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let sql = "UPDATE jobs SET status = ?2, fail_reason = ?3, fail_cause = ?4, finished_at = ?5,
            not_before = NULL, parked_for = NULL
        WHERE id = ?1";
    tx.prepare_cached(sql)?.execute(params![
        id.to_string(),
        end.name(),
        failure.reason,
        failure.cause,
        now.millis()
    ])
}

pub(super) fn read_job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let kind = match row.get::<_, String>("kind")?.as_str() {
        "review" => JobKind::Review {
            pr_number: unsigned(row, "pr_number")?.unwrap_or_default(),
            comment_body: row.get("comment_body")?,
            github_comment_id: unsigned(row, "github_comment_id")?,
        },
        _ => JobKind::Ticket,
    };
    Ok(Job {
        job_id: typed(row, "id")?,
        project_id: typed(row, "project_id")?,
        ticket_id: typed(row, "ticket_id")?,
        kind,
        status: typed(row, "status")?,
        attempt: row.get("attempt")?,
        cancel_requested: row.get("cancel_requested")?,
        created_at: time(row, "created_at")?,
        claimed_at: optional_time(row, "claimed_at")?,
        finished_at: optional_time(row, "finished_at")?,
        fail_reason: row.get("fail_reason")?,
        fail_cause: row.get("fail_cause")?,
        claim_id: optional(row, "claim_id")?,
        not_before: optional_time(row, "not_before")?,
        parked_for: row.get("parked_for")?,
    })
}
