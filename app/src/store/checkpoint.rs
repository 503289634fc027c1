//! What runs tell of themselves while they go: the newest of each ticket.

use api_client::{ProjectId, TicketId};
use rusqlite::{Row, params};

use super::{Store, StoreError, ticket, time, to_sql, typed, unsigned};
use crate::clock::Timestamp;
use crate::model::{Checkpoint, Hook};

/// How many are kept for each ticket; the oldest are forgotten.
const KEPT_MAX: u32 = 500;

/// A checkpoint to be added, checked.
#[derive(Clone, Debug)]
pub(crate) struct NewCheckpoint {
    pub(crate) hook: Hook,
    pub(crate) turn: Option<u64>,
    pub(crate) note: String,
    pub(crate) tokens: Option<u64>,
}

impl Store {
    /// Adds what a run tells, in its order; `false` when there is no such ticket.
    pub(crate) async fn add_checkpoints(
        &self,
        project: ProjectId,
        id: TicketId,
        session: String,
        new: Vec<NewCheckpoint>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            if ticket::find_in(tx, project, id)?.is_none() {
                return Ok(false);
            }
            let ticket = id.to_string();
            let add = "INSERT INTO checkpoints
                    (ticket_id, session_id, hook, turn, note, tokens, created_at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let mut add = tx.prepare_cached(add)?;
            for NewCheckpoint { hook, turn, note, tokens } in new {
                let (turn, tokens) = (to_sql(turn), to_sql(tokens));
                let hook = hook.name();
                add.execute(params![ticket, session, hook, turn, note, tokens, now.millis()])?;
            }
            let forget = "DELETE FROM checkpoints WHERE ticket_id = ?1 AND seq <= (
                SELECT seq FROM checkpoints WHERE ticket_id = ?1
                ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
            tx.prepare_cached(forget)?.execute(params![ticket, KEPT_MAX])?;
            Ok(true)
        })
        .await
    }

    /// The checkpoints of a ticket, oldest first; `None` when there is no such ticket.
    pub(crate) async fn checkpoints(
        &self,
        project: ProjectId,
        id: TicketId,
    ) -> Result<Option<Vec<Checkpoint>>, StoreError> {
        self.read(move |tx| {
            if ticket::find_in(tx, project, id)?.is_none() {
                return Ok(None);
            }
            let sql = "SELECT * FROM checkpoints WHERE ticket_id = ?1 ORDER BY seq";
            let mut statement = tx.prepare_cached(sql)?;
            let rows = statement.query_map([id.to_string()], read_checkpoint)?;
            rows.collect::<Result<_, _>>().map(Some)
        })
        .await
    }
}

fn read_checkpoint(row: &Row<'_>) -> rusqlite::Result<Checkpoint> {
    Ok(Checkpoint {
        session_id: row.get("session_id")?,
        hook: typed(row, "hook")?,
        turn: unsigned(row, "turn")?,
        note: row.get("note")?,
        tokens: unsigned(row, "tokens")?,
        created_at: time(row, "created_at")?,
    })
}
