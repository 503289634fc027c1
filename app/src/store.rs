//! The database: one SQLite file, all SQL in the files below this one.
//!
//! Invariants: one connection, used by one piece of work at a time on a blocking thread, so no lock
//! is held across an await; every write is one transaction that takes its lock at the start; what
//! was answered is on disk (`synchronous=FULL`: with WAL a power cut would otherwise forget the
//! last claims and reports). The file holds the settings' secrets, so it is readable by its owner
//! alone. Nothing here knows of HTTP.

mod budget;
mod checkpoint;
mod claim;
mod enqueue;
mod follow_up;
mod job;
mod log;
mod memory;
mod migration;
mod parking;
mod project;
mod review;
mod setting;
mod ticket;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior};

pub(crate) use budget::Allowance;
pub(crate) use checkpoint::NewCheckpoint;
pub(crate) use claim::{Claim, ClaimedJob, Expired, Hold, Settled};
pub(crate) use enqueue::{NewReview, Queued};
pub(crate) use follow_up::Proposal;
pub(crate) use job::Filter;
pub(crate) use log::NewLog;
pub(crate) use memory::{Passage, Place};
pub(crate) use parking::{Parked, Pause};
pub(crate) use project::{NewProject, Removal};
pub(crate) use review::InReview;
pub(crate) use ticket::{Board, Delivery, NewTicket, TicketEdit};

use crate::clock::Timestamp;

/// How long to wait for another process that has the file locked (a backup, `sqlite3`).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The database could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot create the database file {}", path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot open the database {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("cannot bring the database to version {version}")]
    Migrate {
        version: u32,
        #[source]
        source: rusqlite::Error,
    },
    #[error(
        "the database has the changes of migration {found}, which this program does not know; use a \
        newer terarchitect-app"
    )]
    Newer { found: u32 },
    #[error("the database refused a query")]
    Query(#[from] rusqlite::Error),
    #[error("a database task ended early")]
    Task(#[source] tokio::task::JoinError),
}

/// Handle of the database; clones share the connection.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    connection: Arc<Mutex<Connection>>,
}

impl Store {
    /// Opens the database at `path`, making it and its folder where they are missing, and brings it
    /// to the current version. Blocks.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let create = |source| StoreError::Create { path: path.to_owned(), source };
        ensure_private(path).map_err(create)?;
        let mut connection =
            connect(path).map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        migration::apply(&mut connection)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.read(|tx| tx.query_row("SELECT 1", [], |_| Ok(()))).await
    }

    /// Runs `work` in a transaction that may write; it is committed when `work` succeeds.
    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.run(TransactionBehavior::Immediate, work).await
    }

    /// Runs `work` on one consistent state of the database.
    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.run(TransactionBehavior::Deferred, work).await
    }

    async fn run<T, F>(&self, behavior: TransactionBehavior, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let connection = Arc::clone(&self.connection);
        let task = move || {
            // A panic under the lock has rolled its transaction back: the connection is sound.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(behavior)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        tokio::task::spawn_blocking(task).await.map_err(StoreError::Task)?
    }
}

/// Makes the file with mode 0600 or takes the access of others away. SQLite gives its side files
/// (`-wal`, `-shm`) the mode of the database.
fn ensure_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the database was open to others: mode set to 0600");
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A secret that was unset does not stay in a free page.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Reads a column whose text has a type: an id or a word.
fn typed<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    optional(row, column)?.ok_or_else(|| {
        rusqlite::Error::InvalidColumnType(index(row, column), column.to_owned(), Type::Null)
    })
}

/// As [`typed`], of a column that may be NULL.
fn optional<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: Option<String> = row.get(column)?;
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|error| {
        let index = index(row, column);
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
    })
}

fn index(row: &Row<'_>, column: &str) -> usize {
    row.as_ref().column_index(column).unwrap_or_default()
}

fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

fn optional_time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// SQLite has signed integers only. The API takes no number above `i64::MAX`.
fn to_sql(number: Option<u64>) -> Option<i64> {
    number.and_then(|number| i64::try_from(number).ok())
}

fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    Ok(number.and_then(|number| u64::try_from(number).ok()))
}

#[cfg(test)]
mod tests;
