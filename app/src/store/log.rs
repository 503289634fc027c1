//! The logs of tickets.

use api_client::{ProjectId, TicketId};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::{Store, StoreError, ticket, time};
use crate::clock::Timestamp;
use crate::model::LogRecord;

/// An entry to be added, checked.
#[derive(Clone, Debug)]
pub(crate) struct NewLog {
    pub(crate) session_id: String,
    pub(crate) step: String,
    pub(crate) summary: String,
    pub(crate) raw_output: Option<String>,
    pub(crate) success: Option<bool>,
}

impl Store {
    /// Adds an entry and answers its id; `None` when there is no such ticket.
    pub(crate) async fn add_log(
        &self,
        project: ProjectId,
        id: TicketId,
        new: NewLog,
        now: Timestamp,
    ) -> Result<Option<Uuid>, StoreError> {
        self.write(move |tx| {
            if ticket::find_in(tx, project, id)?.is_none() {
                return Ok(None);
            }
            let entry = add(tx, id, &new, now)?;
            Ok(Some(entry))
        })
        .await
    }

    /// All entries of a ticket, oldest first; `None` when there is no such ticket.
    pub(crate) async fn logs(
        &self,
        project: ProjectId,
        id: TicketId,
    ) -> Result<Option<Vec<LogRecord>>, StoreError> {
        self.read(move |tx| {
            if ticket::find_in(tx, project, id)?.is_none() {
                return Ok(None);
            }
            let sql = "SELECT * FROM ticket_logs WHERE ticket_id = ?1 ORDER BY seq";
            let mut statement = tx.prepare_cached(sql)?;
            let rows = statement.query_map([id.to_string()], read_log)?;
            rows.collect::<Result<_, _>>().map(Some)
        })
        .await
    }
}

/// Adds an entry, inside a transaction that has found the ticket.
pub(super) fn add(
    tx: &Connection,
    ticket: TicketId,
    new: &NewLog,
    now: Timestamp,
) -> rusqlite::Result<Uuid> {
    let entry = Uuid::new_v4();
    let sql = "INSERT INTO ticket_logs
            (id, ticket_id, session_id, step, summary, raw_output, success, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    tx.prepare_cached(sql)?.execute(params![
        entry.to_string(),
        ticket.to_string(),
        new.session_id,
        new.step,
        new.summary,
        new.raw_output,
        new.success,
        now.millis(),
    ])?;
    Ok(entry)
}

fn read_log(row: &Row<'_>) -> rusqlite::Result<LogRecord> {
    Ok(LogRecord {
        id: row.get("id")?,
        step: row.get("step")?,
        summary: row.get("summary")?,
        raw_output: row.get("raw_output")?,
        success: row.get("success")?,
        created_at: time(row, "created_at")?,
    })
}
