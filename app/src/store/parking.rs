//! Jobs that wait for the limit of a provider to be over. The rules are in [`queue`].

use api_client::wire::JobUsage;
use api_client::{ClaimId, JobId, TicketId};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreError, budget, job, optional_time};
use crate::clock::Timestamp;
use crate::model::{Job, JobStatus};
use crate::queue::{self, Failure, PARKINGS_WITHIN, PAUSE_MAX, Parking, Parkings};

/// The cause of a job that came to its limits too often.
const PARKED: &str = "parked";

/// Whether no pause keeps a job that waits, at `:now`, from being handed out. One that is due later than any
/// pause can last (`:latest`) was parked while the clock was wrong: it is due.
pub(super) const DUE: &str = "(not_before IS NULL OR not_before <= :now OR not_before > :latest)";

/// What no job is parked beyond, by a clock that is not an hour ahead of this one.
pub(super) fn latest(now: Timestamp) -> i64 {
    now.plus(PAUSE_MAX + CLOCKS_APART).millis()
}

const CLOCKS_APART: i64 = 3_600_000;

/// What a claimer says of a job that is to go on later.
#[derive(Clone, Debug)]
pub(crate) struct Pause {
    pub(crate) until: Timestamp,
    /// Whose limit it is.
    pub(crate) reason: String,
    pub(crate) usage: Option<JobUsage>,
}

/// What became of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parked {
    /// It waits until then, or waited: a report may come twice.
    Until(Timestamp),
    /// It ended instead.
    Ended(JobStatus, TicketId),
    /// The claim does not hold the job, which was not changed.
    Refused(JobStatus),
    Missing,
}

impl Store {
    /// Puts a running job back in the queue until its pause is over. It is no attempt.
    pub(crate) async fn park(
        &self,
        id: JobId,
        by: ClaimId,
        pause: Pause,
        now: Timestamp,
    ) -> Result<Parked, StoreError> {
        self.write(move |tx| {
            let Some(found) = job::find(tx, id)? else { return Ok(Parked::Missing) };
            budget::count(tx, &found, Some(by), pause.usage, now)?;
            if let Some(until) = parked_before(tx, id, by)? {
                return Ok(Parked::Until(until));
            }
            let decided = queue::park(&found.state(), by, pause.until, parkings(tx, id, now)?, now);
            let end = |status, reason| {
                let failure = Failure { reason: Some(reason), cause: Some(PARKED.to_owned()) };
                job::finish(tx, id, status, &failure, now)
                    .map(|_| Parked::Ended(status, found.ticket_id))
            };
            match decided {
                Parking::Until(until) => put_back(tx, id, by, until, &pause.reason, now),
                Parking::Fail => {
                    end(JobStatus::Failed, format!("parked too often; {}", pause.reason))
                }
                Parking::Cancel => end(JobStatus::Cancelled, pause.reason),
                Parking::Refused if is_end_of(&found, by) => {
                    Ok(Parked::Ended(found.status, found.ticket_id))
                }
                Parking::Refused => Ok(Parked::Refused(found.status)),
            }
        })
        .await
    }
}

/// Whether a job has ended as this claim wanted to park it: the answer may have been lost.
fn is_end_of(job: &Job, claim: ClaimId) -> bool {
    let parked_too_often = job.fail_cause.as_deref() == Some(PARKED);
    job.claim_id == Some(claim)
        && match job.status {
            JobStatus::Failed => parked_too_often,
            JobStatus::Cancelled => true,
            JobStatus::Pending | JobStatus::Running | JobStatus::Completed => false,
        }
}

/// Has a ticket's parked job be due at once; whether there was one.
pub(super) fn make_due(
    tx: &Connection,
    ticket: TicketId,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let sql = "UPDATE jobs SET not_before = NULL, parked_for = NULL
        WHERE ticket_id = ?1 AND status = 'pending' AND not_before > ?2";
    Ok(tx.prepare_cached(sql)?.execute(params![ticket.to_string(), now.millis()])? > 0)
}

/// Until when this claim has parked this job, if it has.
fn parked_before(
    tx: &Connection,
    job: JobId,
    claim: ClaimId,
) -> rusqlite::Result<Option<Timestamp>> {
    let sql = "SELECT parked_until FROM claims WHERE id = ?1 AND job_id = ?2";
    let ids = [claim.to_string(), job.to_string()];
    let found = tx.prepare_cached(sql)?.query_row(ids, |row| optional_time(row, "parked_until"));
    Ok(found.optional()?.flatten())
}

fn parkings(tx: &Connection, job: JobId, now: Timestamp) -> rusqlite::Result<Parkings> {
    let sql = "SELECT count(*) AS in_all, count(*) FILTER (WHERE parked_at > ?2 AND parked_at <= ?3) AS of_late
        FROM claims WHERE job_id = ?1 AND parked_at IS NOT NULL";
    let since = now.plus(-PARKINGS_WITHIN).millis();
    tx.prepare_cached(sql)?.query_row(params![job.to_string(), since, now.millis()], |row| {
        Ok(Parkings { of_late: row.get("of_late")?, in_all: row.get("in_all")? })
    })
}

/// The claim is over: what it says from now on counts no more than what any other says.
fn put_back(
    tx: &Connection,
    id: JobId,
    by: ClaimId,
    until: Timestamp,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<Parked> {
    let sql = "UPDATE jobs SET status = 'pending', claim_id = NULL, attempt = max(attempt - 1, 0),
            not_before = ?2, parked_for = ?3 WHERE id = ?1";
    tx.prepare_cached(sql)?.execute(params![id.to_string(), until.millis(), reason])?;
    let sql = "UPDATE claims SET parked_at = ?2, parked_until = ?3 WHERE id = ?1";
    let values = params![by.to_string(), now.millis(), until.millis()];
    tx.prepare_cached(sql)?.execute(values)?;
    Ok(Parked::Until(until))
}
