//! The values of the settings, secrets among them.

use api_client::Secret;
use rusqlite::{Connection, params};

use super::{Store, StoreError};
use crate::clock::Timestamp;
use crate::setting::{Change, Settings};

impl Store {
    pub(crate) async fn settings(&self) -> Result<Settings, StoreError> {
        self.read(|tx| load(tx)).await
    }

    /// Makes all changes or none, and answers the settings after them.
    pub(crate) async fn change_settings(
        &self,
        changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<Settings, StoreError> {
        self.write(move |tx| {
            for (name, value) in &changes {
                match value {
                    Some(value) => tx
                        .prepare_cached("REPLACE INTO settings VALUES (?1, ?2, ?3)")?
                        .execute(params![name, value.expose(), now.millis()])?,
                    None => tx.execute("DELETE FROM settings WHERE name = ?1", [name])?,
                };
            }
            load(tx)
        })
        .await
    }
}

/// All settings, inside a transaction.
pub(super) fn load(tx: &Connection) -> rusqlite::Result<Settings> {
    let mut statement = tx.prepare_cached("SELECT name, value FROM settings")?;
    let rows =
        statement.query_map([], |row| Ok((row.get(0)?, Secret::from(row.get::<_, String>(1)?))))?;
    Ok(Settings::new(rows.collect::<Result<Vec<_>, _>>()?))
}
