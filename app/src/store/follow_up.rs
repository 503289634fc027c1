//! Tickets that runs propose.
//!
//! Invariants: all runs of a ticket together add a bounded number of them; none says what a ticket of the project
//! says already, and the same is added once, also where a person deleted it; they begin in the backlog, and
//! nothing here starts a job.

use std::collections::HashSet;
use std::fmt::Write as _;

use api_client::{ProjectId, TicketId};
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreError, ticket};
use crate::clock::Timestamp;
use crate::model::{Priority, Ticket};

/// How many the runs of one ticket may add together: a ticket that is tried again and again adds no more.
const OF_TICKET_MAX: u32 = 3;

/// What a run proposes.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    pub(crate) title: String,
    pub(crate) text: String,
}

/// What became of a run's proposals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proposed {
    pub(crate) created: Vec<TicketId>,
    /// So many were proposed before, or are what a ticket says.
    pub(crate) known: usize,
    /// So many were more than the runs of a ticket may add.
    pub(crate) refused: usize,
}

impl Store {
    /// Adds the tickets that a run of a ticket proposes; `None` when there is no such ticket.
    pub(crate) async fn propose(
        &self,
        project: ProjectId,
        origin: TicketId,
        session: String,
        proposals: Vec<Proposal>,
        now: Timestamp,
    ) -> Result<Option<Proposed>, StoreError> {
        self.write(move |tx| {
            let Some(origin) = ticket::find_in(tx, project, origin)? else {
                return Ok(None);
            };
            let tickets = digests(tx, project)?;
            let mut proposed = Proposed::default();
            for proposal in proposals {
                let digest = proposal.digest();
                if tickets.contains(&digest) || is_known(tx, project, &digest)? {
                    proposed.known += 1;
                } else if added_by(tx, origin.id)? >= OF_TICKET_MAX {
                    proposed.refused += 1;
                } else {
                    let new = add(tx, &origin, &proposal, now)?;
                    remember(tx, &origin, new, &digest, &session)?;
                    proposed.created.push(new);
                }
            }
            Ok(Some(proposed))
        })
        .await
    }
}

impl Proposal {
    /// The same for texts that differ in case and white space alone.
    fn digest(&self) -> String {
        let plain = |text: &str| {
            let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
            words.join(" ")
        };
        let text = format!("{}\n{}", plain(&self.title), plain(&self.text));
        let digest = digest(&SHA256, text.as_bytes());
        digest.as_ref().iter().fold(String::new(), |mut digits, byte| {
            let _infallible = write!(digits, "{byte:02x}");
            digits
        })
    }
}

/// What the tickets of a project say.
fn digests(tx: &Connection, project: ProjectId) -> rusqlite::Result<HashSet<String>> {
    let sql = "SELECT title, description FROM tickets WHERE project_id = ?1";
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map([project.to_string()], |row| {
        let ticket = Proposal { title: row.get("title")?, text: row.get("description")? };
        Ok(ticket.digest())
    })?;
    rows.collect()
}

fn is_known(tx: &Connection, project: ProjectId, digest: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM follow_ups WHERE project_id = ?1 AND digest = ?2";
    let found = tx.prepare_cached(sql)?.query_row([&project.to_string(), digest], |_| Ok(()));
    Ok(found.optional()?.is_some())
}

fn added_by(tx: &Connection, origin: TicketId) -> rusqlite::Result<u32> {
    let sql = "SELECT count(*) FROM follow_ups WHERE origin_ticket = ?1";
    tx.prepare_cached(sql)?.query_row([origin.to_string()], |row| row.get(0))
}

fn add(
    tx: &Connection,
    origin: &Ticket,
    proposal: &Proposal,
    now: Timestamp,
) -> rusqlite::Result<TicketId> {
    let note = format!(
        "Proposed by an agent that worked on ticket {} ({}). Nobody has judged it yet.",
        origin.id, origin.title
    );
    let new = ticket::NewTicket {
        title: proposal.title.clone(),
        description: format!("{}\n\n---\n\n{note}", proposal.text.trim()),
        priority: Priority::Medium,
        column: crate::model::Column::Backlog,
    };
    ticket::add(tx, origin.project_id, new, now).map(|ticket| ticket.id)
}

fn remember(
    tx: &Connection,
    origin: &Ticket,
    new: TicketId,
    digest: &str,
    session: &str,
) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO follow_ups (project_id, digest, ticket_id, origin_ticket, session_id)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    let (project, ticket) = (origin.project_id.to_string(), new.to_string());
    tx.prepare_cached(sql)?.execute(params![
        project,
        digest,
        ticket,
        origin.id.to_string(),
        session
    ])
}

#[cfg(test)]
mod tests;
