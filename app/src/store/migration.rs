//! Brings a database to the tables of this program.
//!
//! Invariant: each migration is applied once and as a whole. The database names those it has had by number,
//! so one that arrives after another with a higher number is applied too: these two must not need each
//! other.

use std::collections::BTreeSet;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::StoreError;

/// A step from older tables to newer ones.
pub(super) struct Migration {
    /// That of its file.
    pub(super) number: u32,
    pub(super) sql: &'static str,
}

/// In the order of their numbers.
pub(super) const MIGRATIONS: [Migration; 6] = [
    Migration { number: 1, sql: include_str!("../../migrations/0001_initial.sql") },
    Migration { number: 2, sql: include_str!("../../migrations/0002_claims.sql") },
    Migration { number: 3, sql: include_str!("../../migrations/0003_memory.sql") },
    Migration { number: 4, sql: include_str!("../../migrations/0004_budgets.sql") },
    Migration { number: 5, sql: include_str!("../../migrations/0005_reviews.sql") },
    Migration { number: 6, sql: include_str!("../../migrations/0006_hooks.sql") },
];

/// Applies what the database has not had.
///
/// # Errors
/// When a migration fails, which then has changed nothing, and for the database of a newer program.
pub(super) fn apply(connection: &mut Connection) -> Result<(), StoreError> {
    let at = |version| move |source| StoreError::Migrate { version, source };
    let had = in_one(connection, had).map_err(at(0))?;
    let is_known = |number: &u32| MIGRATIONS.iter().any(|known| known.number == *number);
    if let Some(found) = had.iter().copied().find(|number| !is_known(number)) {
        return Err(StoreError::Newer { found });
    }
    for Migration { number, sql } in MIGRATIONS {
        if had.contains(&number) {
            continue;
        }
        let step = |tx: &Transaction<'_>| {
            tx.execute_batch(sql)?;
            note(tx, number)
        };
        in_one(connection, step).map_err(at(number))?;
    }
    Ok(())
}

/// The numbers of those that the database has had. `user_version` is the highest of them, by which older
/// programs know that they are too old; a database of before there was a list has had all up to it.
fn had(tx: &Transaction<'_>) -> rusqlite::Result<BTreeSet<u32>> {
    tx.execute_batch("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY) STRICT")?;
    let listed = tx
        .prepare("SELECT number FROM migrations")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<BTreeSet<u32>>>()?;
    let highest: u32 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if !listed.is_empty() {
        return Ok(listed.into_iter().chain(Some(highest)).collect());
    }
    for number in 1..=highest {
        note(tx, number)?;
    }
    Ok((1..=highest).collect())
}

fn note(tx: &Transaction<'_>, number: u32) -> rusqlite::Result<()> {
    tx.execute("INSERT INTO migrations (number) VALUES (?1)", [number])?;
    let highest: u32 = tx.query_row("SELECT max(number) FROM migrations", [], |row| row.get(0))?;
    tx.pragma_update(None, "user_version", highest)
}

fn in_one<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}
