//! What is known of the pull requests of tickets in review. The rules are in
//! [`decision`](crate::review::decision), and are applied inside one transaction.

use std::time::Duration;

use api_client::wire::JobKind;
use api_client::{JobId, ProjectId, TicketId};
use rusqlite::{Connection, Row, params};

use super::enqueue::OF_REPOSITORY;
use super::log::NewLog;
use super::{Store, StoreError, job, log, ticket, typed, unsigned};
use crate::clock::Timestamp;
use crate::forge::{CommentId, CommentKind};
use crate::model::{Column, Job, JobStatus, ReviewState, Ticket};
use crate::queue;
use crate::review::decision::{
    Active, Assignment, Attempt, Blame, Decision, Fate, History, Item, Limit, decide,
};
use crate::review::{Look, ReviewTerms};

/// The kind of an item that is no comment.
const CHECK: &str = "check";
/// The causes of failures that say nothing of the work: the app's own and the coordinator's.
const SURROUNDINGS: [&str; 11] = [
    "adopted_gone",
    "container_gone",
    "engine_lost",
    "forge_token",
    "gateway_lost",
    "image_missing",
    "interrupted",
    "keeper_gone",
    "lease_expired",
    "no_space",
    "not_started",
];
/// The session of the entries that the app itself writes to a ticket's log.
const SESSION: &str = "review-loop";

/// A ticket in review with a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InReview {
    pub(crate) ticket: TicketId,
    pub(crate) project: ProjectId,
    pub(crate) repo_url: String,
    pub(crate) pr_number: u64,
}

impl Store {
    /// All tickets in review that have a pull request, oldest first.
    pub(crate) async fn in_review(&self) -> Result<Vec<InReview>, StoreError> {
        self.read(|tx| {
            let sql = "SELECT t.id AS ticket, p.id AS project, p.repo_url, t.pr_number
                FROM tickets t JOIN projects p ON p.id = t.project_id
                WHERE t.column_id = 'in_review' AND t.pr_number IS NOT NULL
                    AND p.repo_url IS NOT NULL
                ORDER BY t.rowid";
            let mut statement = tx.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                Ok(InReview {
                    ticket: typed(row, "ticket")?,
                    project: typed(row, "project")?,
                    repo_url: row.get("repo_url")?,
                    pr_number: unsigned(row, "pr_number")?.unwrap_or_default(),
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Does what a look at a pull request calls for, and answers what that was; `None` where the ticket is
    /// no longer in review with this pull request.
    pub(crate) async fn take_look(
        &self,
        seen: InReview,
        look: Look,
        terms: ReviewTerms,
    ) -> Result<Option<Decision>, StoreError> {
        self.write(move |tx| {
            let Some(ticket) = ticket::find(tx, seen.ticket)? else {
                return Ok(None);
            };
            let same = ticket.pr_number == Some(seen.pr_number);
            if ticket.column_id != Column::InReview || !same {
                return Ok(None);
            }
            let history = history(tx, &ticket, seen.pr_number)?;
            // What a job has changed since may not have been seen.
            if history.attempts.iter().any(|attempt| attempt.ended_at >= look.begun) {
                return Ok(Some(Decision::Wait(Duration::ZERO)));
            }
            let now = look.ended;
            let decision = decide(&look.pull, &history, &terms, now);
            carry_out(tx, &ticket, seen.pr_number, &decision, now)?;
            note(tx, &ticket, seen.pr_number, &decision, now)?;
            Ok(Some(decision))
        })
        .await
    }
}

/// Has a job deal with what another was to deal with.
pub(super) fn inherit(tx: &Connection, from: JobId, to: JobId) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO review_items SELECT ?2, kind, name, commit_sha FROM review_items
        WHERE job_id = ?1";
    tx.prepare_cached(sql)?.execute([from.to_string(), to.to_string()])
}

/// The jobs of the ticket, and of other tickets with the same pull request.
fn history(tx: &Connection, ticket: &Ticket, number: u64) -> rusqlite::Result<History> {
    let sql = format!(
        "SELECT * FROM jobs WHERE {OF_REPOSITORY}
            AND (ticket_id = ?2 OR (kind = 'review' AND pr_number = ?3))
        ORDER BY seq"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let (project, id) = (ticket.project_id.to_string(), ticket.id.to_string());
    let number_sql = i64::try_from(number).unwrap_or(i64::MAX);
    let jobs = statement.query_map(params![project, id, number_sql], job::read_job)?;
    let mut history = History { active: Active::None, attempts: Vec::new() };
    for job in jobs {
        let job = job?;
        let of_pull = matches!(job.kind, JobKind::Review { pr_number, .. } if pr_number == number);
        match job.finished_at {
            _ if queue::is_active(job.status) => history.active = active(&job, of_pull),
            Some(ended_at) if of_pull => {
                history.attempts.push(attempt(tx, &job, ended_at)?);
            }
            Some(_) | None => {}
        }
    }
    Ok(history)
}

/// A job that waits again after its lease expired may still have an agent, which will not see more than it
/// was given.
fn active(job: &Job, of_pull: bool) -> Active {
    match job.status {
        JobStatus::Pending if of_pull && job.attempt == 0 => Active::Waiting(job.job_id),
        _ => Active::AtWork,
    }
}

fn attempt(tx: &Connection, job: &Job, ended_at: Timestamp) -> rusqlite::Result<Attempt> {
    let mut items = items(tx, job.job_id)?;
    // One of before there was a loop, or that someone asked for: of which kind its comment is is not known.
    if let JobKind::Review { github_comment_id: Some(number), .. } = job.kind
        && items.is_empty()
        && job.status == JobStatus::Completed
    {
        let kinds = CommentKind::ALL.into_iter();
        items = kinds.map(|kind| Item::Comment(CommentId { kind, number })).collect();
    }
    let lost = job.fail_cause.as_deref().is_some_and(|cause| SURROUNDINGS.contains(&cause));
    let blame = if lost { Blame::Surroundings } else { Blame::Work };
    Ok(Attempt { status: job.status, blame, ended_at, items })
}

fn carry_out(
    tx: &Connection,
    ticket: &Ticket,
    number: u64,
    decision: &Decision,
    now: Timestamp,
) -> rusqlite::Result<()> {
    match decision {
        Decision::Finish(_) => {
            ticket::close(tx, ticket, now)?;
            withdraw(tx, ticket, number, now)?;
        }
        Decision::Close => withdraw(tx, ticket, number, now)?,
        Decision::Start(Assignment { items, comment_body, comment_number }) => {
            let kind = JobKind::Review {
                pr_number: number,
                comment_body: comment_body.clone(),
                github_comment_id: *comment_number,
            };
            let job = job::enqueue(tx, ticket, &kind, now)?;
            assign(tx, job, items)?;
        }
        Decision::Extend(job, items) => assign(tx, *job, items)?,
        Decision::Wait(_) | Decision::GiveUp(_) | Decision::Rest => {}
    }
    Ok(())
}

/// Cancels the ticket's review job of this pull request, which then was given nothing: nobody has said that
/// it is not to be dealt with, once the pull request is open again.
fn withdraw(tx: &Connection, ticket: &Ticket, number: u64, now: Timestamp) -> rusqlite::Result<()> {
    let Some(newest) = ticket.job.filter(|job| queue::is_active(job.status)) else {
        return Ok(());
    };
    let kind = job::find(tx, newest.job_id)?.map(|job| job.kind);
    if matches!(kind, Some(JobKind::Review { pr_number, .. }) if pr_number == number) {
        job::withdraw(tx, ticket, now)?;
        let sql = "DELETE FROM review_items WHERE job_id = ?1";
        tx.prepare_cached(sql)?.execute([newest.job_id.to_string()])?;
    }
    Ok(())
}

/// Keeps how the pull request stands; what is new for people goes to the ticket's log.
fn note(
    tx: &Connection,
    ticket: &Ticket,
    number: u64,
    decision: &Decision,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let state = match decision {
        Decision::Finish(Fate::Merged) => ReviewState::Merged,
        Decision::Finish(Fate::Approved) => ReviewState::Approved,
        Decision::Close => ReviewState::Closed,
        Decision::GiveUp(_) => ReviewState::GivenUp,
        Decision::Start(_) | Decision::Extend(..) | Decision::Wait(_) | Decision::Rest => {
            ReviewState::Open
        }
    };
    let sql = "REPLACE INTO reviews (ticket_id, pr_number, state, looked_at)
        VALUES (?1, ?2, ?3, ?4)";
    let number_sql = i64::try_from(number).unwrap_or(i64::MAX);
    let row = params![ticket.id.to_string(), number_sql, state.name(), now.millis()];
    tx.prepare_cached(sql)?.execute(row)?;
    let why = match decision {
        Decision::GiveUp(Limit::Day) => {
            "it had the most review jobs that one may have in 24 hours; the next one is started later."
        }
        _ => {
            "enough review jobs were tried for what is said there, or what fails; the next one is \
            started for a new comment."
        }
    };
    let before = ticket.review.map(|review| review.state);
    if let Some((step, summary)) = news(before, state, number, why) {
        let (step, session_id) = (step.to_owned(), SESSION.to_owned());
        let entry = NewLog { session_id, step, summary, raw_output: None, success: None };
        log::add(tx, ticket.id, &entry, now)?;
    }
    Ok(())
}

/// The step and the summary of a log entry, where something changed that people want to know.
fn news(
    before: Option<ReviewState>,
    state: ReviewState,
    number: u64,
    given_up: &str,
) -> Option<(&'static str, String)> {
    let pull = format!("Pull request {number}");
    let news = match state {
        _ if before == Some(state) => return None,
        ReviewState::Merged => ("pr_merged", format!("{pull} was merged: the ticket is done.")),
        ReviewState::Approved => {
            ("pr_approved", format!("{pull} is approved: the ticket is done."))
        }
        ReviewState::Closed => (
            "pr_closed",
            format!("{pull} was closed without a merge: no review job is started for it."),
        ),
        ReviewState::GivenUp => ("review_given_up", format!("{pull}: {given_up}")),
        ReviewState::Open if before == Some(ReviewState::Closed) => {
            ("pr_reopened", format!("{pull} is open again."))
        }
        ReviewState::Open => return None,
    };
    Some(news)
}

fn assign(tx: &Connection, job: JobId, items: &[Item]) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO review_items (job_id, kind, name, commit_sha)
        VALUES (?1, ?2, ?3, ?4)";
    let mut statement = tx.prepare_cached(sql)?;
    for item in items {
        let (kind, name, commit) = match item {
            Item::Comment(id) => (id.kind.name(), id.number.to_string(), ""),
            Item::Check { name, commit } => (CHECK, name.clone(), commit.as_str()),
        };
        statement.execute(params![job.to_string(), kind, name, commit])?;
    }
    Ok(())
}

fn items(tx: &Connection, job: JobId) -> rusqlite::Result<Vec<Item>> {
    let sql = "SELECT kind, name, commit_sha FROM review_items WHERE job_id = ?1";
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map([job.to_string()], read_item)?;
    rows.filter_map(Result::transpose).collect()
}

/// Nothing where the row is of no kind that is known: a newer program's.
fn read_item(row: &Row<'_>) -> rusqlite::Result<Option<Item>> {
    let (kind, name): (String, String) = (row.get("kind")?, row.get("name")?);
    if kind == CHECK {
        return Ok(Some(Item::Check { name, commit: row.get("commit_sha")? }));
    }
    let id = CommentKind::of_name(&kind).zip(name.parse().ok());
    Ok(id.map(|(kind, number)| Item::Comment(CommentId { kind, number })))
}

#[cfg(test)]
mod tests;
