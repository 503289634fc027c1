//! Jobs in the hands of claimers: claimed, held, reported, taken back. First in, first out, by the
//! order of creation. The rules are in [`queue`].

use std::time::Instant;

use api_client::wire::JobUsage;
use api_client::{ClaimId, JobId, ProjectId, TicketId};
use rusqlite::{Connection, OptionalExtension, named_params};

use super::parking::{DUE, latest};
use super::{Allowance, Store, StoreError, budget, job, optional, project, setting, typed};
use crate::clock::Timestamp;
use crate::lease::Leases;
use crate::model::{Job, JobStatus, Project};
use crate::queue::{self, Expiry, Failure, Outcome};
use crate::setting::Settings;

/// The cause of a job that no claimer finished.
const LEASE_EXPIRED: &str = "lease_expired";

/// What a claim brought.
#[derive(Debug)]
pub(crate) enum Claim {
    Empty,
    NoSuchProject,
    /// The claim had a job and does not hold it any more; the job may be deleted.
    Over(Option<JobStatus>),
    Job(Box<ClaimedJob>),
}

/// A job that is now running, with what its answer is made of.
#[derive(Debug)]
pub(crate) struct ClaimedJob {
    pub(crate) job: Job,
    pub(crate) project: Project,
    pub(crate) settings: Settings,
    /// What is left of its project's day.
    pub(crate) allowance: Allowance,
}

/// Whether a claim holds a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    Held,
    /// The job has ended or is another's by now.
    Over(JobStatus),
    Missing,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The job of this ticket has ended.
    Done(TicketId),
    /// The reporter does not have the job, which was not changed.
    Refused(JobStatus),
    Missing,
}

/// A job whose lease expired, with what became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expired {
    pub(crate) job: JobId,
    pub(crate) ticket: TicketId,
    pub(crate) claim: ClaimId,
    pub(crate) effect: Expiry,
}

impl Store {
    /// Claims the oldest job that waits, of one project or of any. A claim id that has brought a
    /// job before brings the same one, whatever the project, and does not count as an attempt.
    pub(crate) async fn claim(
        &self,
        project: Option<ProjectId>,
        claim: Option<ClaimId>,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        self.write(move |tx| {
            if let Some(claim) = claim
                && let Some(earlier) = brought_by(tx, claim)?
            {
                return match earlier {
                    Some(job) if queue::holds(&job.state(), claim) => {
                        let job = resume(tx, job)?;
                        claimed(tx, job)
                    }
                    ended => Ok(Claim::Over(ended.map(|job| job.status))),
                };
            }
            if let Some(id) = project
                && project::find(tx, id)?.is_none()
            {
                return Ok(Claim::NoSuchProject);
            }
            match take(tx, project, claim, now)? {
                Some(job) => claimed(tx, job),
                None => Ok(Claim::Empty),
            }
        })
        .await
    }

    /// Whether a claim holds a job. If it does, the job runs afterwards.
    pub(crate) async fn hold(&self, id: JobId, claim: ClaimId) -> Result<Hold, StoreError> {
        self.write(move |tx| {
            let Some(job) = job::find(tx, id)? else {
                return Ok(Hold::Missing);
            };
            if !queue::holds(&job.state(), claim) {
                return Ok(Hold::Over(job.status));
            }
            resume(tx, job)?;
            Ok(Hold::Held)
        })
        .await
    }

    /// Records how a job ended, as its claimer says.
    pub(crate) async fn settle(
        &self,
        id: JobId,
        by: Option<ClaimId>,
        outcome: Outcome,
        usage: Option<JobUsage>,
        now: Timestamp,
    ) -> Result<Settled, StoreError> {
        self.write(move |tx| {
            let Some(job) = job::find(tx, id)? else {
                return Ok(Settled::Missing);
            };
            budget::count(tx, &job, by, usage, now)?;
            let Some(end) = queue::settle(&job.state(), by, &outcome) else {
                return Ok(Settled::Refused(job.status));
            };
            let failure = match outcome {
                Outcome::Completed => Failure::default(),
                Outcome::Failed(failure) | Outcome::Cancelled(failure) => failure,
            };
            job::finish(tx, id, end, &failure, now)?;
            Ok(Settled::Done(job.ticket_id))
        })
        .await
    }

    /// Takes the jobs back whose leases have expired. `now` is the same moment on two clocks.
    pub(crate) async fn expire_leases(
        &self,
        leases: Leases,
        now: (Instant, Timestamp),
    ) -> Result<Vec<Expired>, StoreError> {
        self.write(move |tx| {
            let expired = leases.expired(&holders(tx)?, now.0);
            let take_back = |claim| take_back(tx, claim, leases.terms.max_attempts, now.1);
            expired.into_iter().map(take_back).collect()
        })
        .await
    }
}

/// The job that a claim brought: `None` where it has brought none, `Some(None)` where that job is
/// deleted.
fn brought_by(tx: &Connection, claim: ClaimId) -> rusqlite::Result<Option<Option<Job>>> {
    let sql = "SELECT job_id FROM claims WHERE id = ?1";
    let id = tx
        .prepare_cached(sql)?
        .query_row([claim.to_string()], |row| optional::<JobId>(row, "job_id"))
        .optional()?;
    match id {
        Some(Some(id)) => job::find(tx, id).map(Some),
        Some(None) => Ok(Some(None)),
        None => Ok(None),
    }
}

/// Hands the oldest job that waits to a new claim, which fences every earlier one.
fn take(
    tx: &Connection,
    project: Option<ProjectId>,
    claim: Option<ClaimId>,
    now: Timestamp,
) -> rusqlite::Result<Option<Job>> {
    let sql = format!(
        "UPDATE jobs
        SET status = 'running', claimed_at = :now, attempt = attempt + 1, claim_id = :claim,
            not_before = NULL, parked_for = NULL, token_allowance = NULL, money_allowance = NULL
        WHERE seq = (
            SELECT seq FROM jobs
            WHERE status = 'pending' AND (:project IS NULL OR project_id = :project)
                AND {DUE} AND project_id NOT IN ({})
            ORDER BY seq LIMIT 1)
        RETURNING *",
        budget::over()
    );
    let values = named_params! {
        ":day": now.day().millis(),
        ":now": now.millis(),
        ":latest": latest(now),
        ":claim": claim.map(|id| id.to_string()),
        ":project": project.map(|id| id.to_string()),
    };
    let job = tx.prepare_cached(&sql)?.query_row(values, job::read_job).optional()?;
    if let Some(job) = &job {
        budget::set_aside(tx, job, &setting::load(tx)?, now)?;
    }
    if let (Some(job), Some(claim)) = (&job, claim) {
        tx.prepare_cached("INSERT INTO claims (id, job_id) VALUES (?1, ?2)")?
            .execute([claim.to_string(), job.job_id.to_string()])?;
    }
    Ok(job)
}

/// A job that its claim holds: if the lease had expired, it runs again.
fn resume(tx: &Connection, job: Job) -> rusqlite::Result<Job> {
    if job.status == JobStatus::Running {
        return Ok(job);
    }
    budget::uncount(tx, job.claim_id)?;
    let sql = "UPDATE jobs SET status = 'running' WHERE id = ?1 RETURNING *";
    tx.prepare_cached(sql)?.query_row([job.job_id.to_string()], job::read_job)
}

fn claimed(tx: &Connection, job: Job) -> rusqlite::Result<Claim> {
    let project = project::find(tx, job.project_id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let allowance = budget::allowance(tx, job.job_id)?;
    Ok(Claim::Job(Box::new(ClaimedJob { job, project, settings: setting::load(tx)?, allowance })))
}

/// The claims of all jobs that run on a lease.
fn holders(tx: &Connection) -> rusqlite::Result<Vec<ClaimId>> {
    let sql = "SELECT claim_id FROM jobs WHERE status = 'running' AND claim_id IS NOT NULL";
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| typed(row, "claim_id"))?;
    rows.collect()
}

/// Ends the lease of a claim that holds a running job.
fn take_back(
    tx: &Connection,
    claim: ClaimId,
    max_attempts: u32,
    now: Timestamp,
) -> rusqlite::Result<Expired> {
    let sql = "SELECT * FROM jobs WHERE status = 'running' AND claim_id = ?1";
    let job = tx.prepare_cached(sql)?.query_row([claim.to_string()], job::read_job)?;
    let id = job.job_id;
    budget::count_taken_back(tx, &job, now)?;
    let effect = queue::expire(&job.state(), max_attempts);
    let end = |end, reason| {
        let failure = Failure { reason: Some(reason), cause: Some(LEASE_EXPIRED.to_owned()) };
        job::finish(tx, id, end, &failure, now)
    };
    match effect {
        Expiry::Requeue => tx
            .prepare_cached("UPDATE jobs SET status = 'pending' WHERE id = ?1")?
            .execute([id.to_string()])?,
        Expiry::Fail => {
            let times = job.attempt;
            let reason = format!("lease expired {times} times: no coordinator finished it");
            end(JobStatus::Failed, reason)?
        }
        Expiry::Cancel => {
            let reason = "lease expired after a request to cancel".to_owned();
            end(JobStatus::Cancelled, reason)?
        }
    };
    Ok(Expired { job: id, ticket: job.ticket_id, claim, effect })
}
