//! What jobs used, and what is left of a project's day. A day is one of UTC; what a job used belongs to the
//! day on which that is reported.
//!
//! Invariant: what is spent and what running jobs may still spend are never more than the budget, as far as
//! the agents keep to their allowances, and have told what they used before they were lost. So a claim is either
//! set aside for, or [counted](usage). One that was taken back and goes on all the same may use both.

mod usage;

use api_client::{JobId, ProjectId};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

pub(super) use self::usage::{count, count_taken_back, uncount};
use super::{to_sql, unsigned};
use crate::clock::Timestamp;
use crate::dollars::Dollars;
use crate::model::{DayBudget, Job};
use crate::setting::Settings;

/// A job's part of its project's day; nothing where the project has no such budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) tokens: Option<u64>,
    pub(crate) money: Option<Dollars>,
}

/// What each project's day that began at `:day` has seen: spent by jobs that were reported, and set aside for those
/// that run.
const USED: &str = "SELECT p.id, p.token_budget_per_day AS token_budget,
        p.money_budget_per_day AS money_budget,
        (SELECT COALESCE(SUM(u.input + u.cached + u.output), 0) FROM job_usage u
            WHERE u.project_id = p.id AND u.used_at >= :day AND u.used_at < :day + 86400000)
        + (SELECT COALESCE(SUM(r.token_allowance), 0) FROM jobs r
            WHERE r.project_id = p.id AND r.status = 'running') AS tokens,
        (SELECT COALESCE(SUM(u.money), 0) FROM job_usage u
            WHERE u.project_id = p.id AND u.used_at >= :day AND u.used_at < :day + 86400000)
        + (SELECT COALESCE(SUM(r.money_allowance), 0) FROM jobs r
            WHERE r.project_id = p.id AND r.status = 'running') AS money
    FROM projects p";

/// The projects that get no jobs any more on the day since `:day`. With less than a tenth left, a job would come
/// to its limit as soon as it began.
pub(super) fn over() -> String {
    format!(
        "SELECT id FROM ({USED}) WHERE (token_budget - tokens) * 10 < token_budget
            OR (money_budget - money) * 10 < money_budget"
    )
}

/// Sets aside what a job that was just handed out may use: what is left of its project's day, or what the
/// settings allow any job where that is less.
pub(super) fn set_aside(
    tx: &Connection,
    job: &Job,
    settings: &Settings,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let left = left(tx, job.project_id, now)?;
    let of_job = settings.job_budget();
    let least = |left: Option<u64>, own: Option<u64>| {
        left.map(|left| own.map_or(left, |own| own.min(left)))
    };
    let tokens = least(left.tokens, of_job.tokens);
    let money = least(left.money.map(Dollars::millionths), of_job.money.map(Dollars::millionths));
    let sql = "UPDATE jobs SET token_allowance = ?2, money_allowance = ?3 WHERE id = ?1";
    let values = params![job.job_id.to_string(), to_sql(tokens), to_sql(money)];
    tx.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// What was set aside for a job.
pub(super) fn allowance(tx: &Connection, job: JobId) -> rusqlite::Result<Allowance> {
    let sql = "SELECT token_allowance, money_allowance FROM jobs WHERE id = ?1";
    tx.prepare_cached(sql)?.query_row([job.to_string()], |row| {
        let money = unsigned(row, "money_allowance")?.map(Dollars::from_millionths);
        Ok(Allowance { tokens: unsigned(row, "token_allowance")?, money })
    })
}

/// What is left of a project's day, before anything is set aside for the job that was just handed out.
fn left(tx: &Connection, project: ProjectId, now: Timestamp) -> rusqlite::Result<Allowance> {
    // Its allowance of an earlier attempt is not its own any more.
    let sql = format!("SELECT * FROM ({USED}) WHERE id = :project");
    let values = named_params! { ":day": now.day().millis(), ":project": project.to_string() };
    let found = tx.prepare_cached(&sql)?.query_row(values, |row| {
        let left = |budget: &str, used: &str| -> rusqlite::Result<Option<u64>> {
            let used = unsigned(row, used)?.unwrap_or_default();
            Ok(unsigned(row, budget)?.map(|budget| budget.saturating_sub(used)))
        };
        let money = left("money_budget", "money")?.map(Dollars::from_millionths);
        Ok(Allowance { tokens: left("token_budget", "tokens")?, money })
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// A project's budget, as a row has it.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<DayBudget> {
    Ok(DayBudget {
        tokens: unsigned(row, "token_budget_per_day")?,
        money: unsigned(row, "money_budget_per_day")?.map(Dollars::from_millionths),
    })
}

#[cfg(test)]
mod tests;
