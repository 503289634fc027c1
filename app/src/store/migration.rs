//! Brings a database to the tables of this program.
//!
//! Invariant: each migration is applied once and as a whole.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// In the order of their numbers; the database's `user_version` counts those applied.
pub(super) const MIGRATIONS: [&str; 7] = [
    include_str!("../../migrations/0001_initial.sql"),
    include_str!("../../migrations/0002_claims.sql"),
    include_str!("../../migrations/0003_memory.sql"),
    include_str!("../../migrations/0004_budgets.sql"),
    include_str!("../../migrations/0005_reviews.sql"),
    include_str!("../../migrations/0006_hooks.sql"),
    include_str!("../../migrations/0007_estimates.sql"),
];

/// Applies what the database has not had.
///
/// # Errors
/// When a migration fails, which then has changed nothing, and for the database of a newer program.
pub(super) fn apply(connection: &mut Connection) -> Result<(), StoreError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = (1..).zip(MIGRATIONS);
    if known.clone().all(|(number, _)| number < found) {
        return Err(StoreError::Newer { found });
    }
    for (number, sql) in known.filter(|(number, _)| *number > found) {
        let mut apply = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "user_version", number)?;
            transaction.commit()
        };
        apply().map_err(|source| StoreError::Migrate { version: number, source })?;
    }
    Ok(())
}
