//! What each claim used, as its claimer reports it, and what is counted where nobody does.
//!
//! Invariants: a claim counts once, and only where it had the job; its report takes the place of what was
//! estimated, and nothing takes the place of its report.

use api_client::wire::JobUsage;
use api_client::{ClaimId, JobId, TicketId};
use rusqlite::{Connection, named_params, params};

use super::allowance;
use crate::clock::Timestamp;
use crate::dollars::Dollars;
use crate::model::Job;
use crate::queue;
use crate::store::unsigned;

/// The step that an agent puts into the ticket's log before it asks any model.
const BEGAN: &str = "context_loaded";

/// What is counted for a claim.
#[derive(Clone, Copy, Debug)]
enum Figures {
    Reported(JobUsage),
    /// For as long as no report comes.
    Estimated {
        tokens: u64,
        money: Option<Dollars>,
    },
}

/// What a run told of itself while it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Not even that it began.
    Nothing,
    /// That it began, and nothing of its tokens.
    Began,
    /// So many tokens at last.
    Tokens(u64),
}

/// Counts what a report of a job's end says, before the job is changed by it. A claim that had the job is counted
/// also where its report is refused, as another has the job by now.
pub(in crate::store) fn count(
    tx: &Connection,
    job: &Job,
    by: Option<ClaimId>,
    usage: Option<JobUsage>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let heeded = queue::heeds(&job.state(), by);
    let Some(usage) = usage else {
        return if heeded { count_taken_back(tx, job, now) } else { Ok(()) };
    };
    let had_it = match by {
        Some(claim) => had(tx, claim, job.job_id)?,
        None => heeded,
    };
    if had_it { add(tx, job, by, Figures::Reported(usage), now) } else { Ok(()) }
}

/// Counts a claim that ends without figures, or is taken back, by what its run told; where that is only that it
/// began, it may have used all that was set aside for it.
pub(in crate::store) fn count_taken_back(
    tx: &Connection,
    job: &Job,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Some(since) = job.claimed_at else { return Ok(()) };
    let allowed = allowance(tx, job.job_id)?;
    let (tokens, money) = match told(tx, job.ticket_id, since)? {
        Told::Nothing | Told::Tokens(0) => return Ok(()),
        Told::Began => (allowed.tokens.unwrap_or_default(), allowed.money),
        // It does not tell of money.
        Told::Tokens(tokens) => (tokens, allowed.money),
    };
    add(tx, job, job.claim_id, Figures::Estimated { tokens, money }, now)
}

/// A claim that was taken back has its job again: it is set aside for.
pub(in crate::store) fn uncount(tx: &Connection, claim: Option<ClaimId>) -> rusqlite::Result<()> {
    let Some(claim) = claim else { return Ok(()) };
    tx.prepare_cached("DELETE FROM job_usage WHERE claim_id = ?1 AND is_estimate")?
        .execute([claim.to_string()])?;
    Ok(())
}

/// Whether a claim brought a job, whoever has that now.
fn had(tx: &Connection, claim: ClaimId, job: JobId) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM claims WHERE id = ?1 AND job_id = ?2";
    tx.prepare_cached(sql)?.exists([claim.to_string(), job.to_string()])
}

fn told(tx: &Connection, ticket: TicketId, since: Timestamp) -> rusqlite::Result<Told> {
    let sql = "SELECT MAX(tokens) AS tokens, COUNT(*) > 0 OR EXISTS (
            SELECT 1 FROM ticket_logs
            WHERE ticket_id = :ticket AND created_at >= :since AND step = :began) AS began
        FROM checkpoints WHERE ticket_id = :ticket AND created_at >= :since";
    let values = named_params! {
        ":ticket": ticket.to_string(), ":since": since.millis(), ":began": BEGAN,
    };
    tx.prepare_cached(sql)?.query_row(values, |row| {
        let began = if row.get("began")? { Told::Began } else { Told::Nothing };
        Ok(unsigned(row, "tokens")?.map_or(began, Told::Tokens))
    })
}

fn add(
    tx: &Connection,
    job: &Job,
    by: Option<ClaimId>,
    figures: Figures,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (JobUsage { input, cached, output, .. }, money, is_estimate) = match figures {
        Figures::Reported(usage) => (usage, usage.money_usd.map(Dollars::of_cost), false),
        Figures::Estimated { tokens, money } => {
            (JobUsage { input: tokens, ..JobUsage::default() }, money, true)
        }
    };
    let sql = "INSERT INTO job_usage
            (project_id, job_id, claim_id, input, cached, output, money, used_at, is_estimate)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT (claim_id) DO UPDATE SET input = excluded.input, cached = excluded.cached,
            output = excluded.output, money = excluded.money, used_at = excluded.used_at,
            is_estimate = excluded.is_estimate
        WHERE is_estimate";
    tx.prepare_cached(sql)?.execute(params![
        job.project_id.to_string(),
        job.job_id.to_string(),
        by.map(|claim| claim.to_string()),
        bounded(input),
        bounded(cached),
        bounded(output),
        money.map(|money| bounded(money.millionths())),
        now.millis(),
        is_estimate,
    ])?;
    Ok(())
}

/// As much as sums of a day can have without an end: what an agent says is not checked by anyone.
fn bounded(count: u64) -> i64 {
    const MOST: u64 = 1 << 40;
    i64::try_from(count.min(MOST)).unwrap_or_default()
}
