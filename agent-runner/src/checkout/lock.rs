//! One run per repository of the user.
//!
//! Invariant: the lock is on the git directory itself and ends with the process, so no file of ours
//! is left and no lock outlives its run.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::CheckoutError;
use crate::logging::PROGRESS;

/// Pause between tries.
const PAUSE: Duration = Duration::from_millis(250);

/// How often the log says that this run waits: it may have to for longer than a coordinator lets a
/// runner print nothing.
const SAY_SO: Duration = Duration::from_secs(60);

/// Held until dropped.
#[derive(Debug)]
pub(super) struct RepositoryLock {
    /// The open file is the lock.
    file: File,
    folder: PathBuf,
}

impl RepositoryLock {
    /// Takes the lock; if another run has it, waits for as long as that takes, after `busy` was told.
    pub(super) async fn take(
        folder: &Path,
        busy: impl AsyncFnOnce(),
    ) -> Result<Self, CheckoutError> {
        let failed =
            |source| CheckoutError::Io { attempted: "locked", path: folder.to_owned(), source };
        let lock = Self { file: File::open(folder).map_err(failed)?, folder: folder.to_owned() };
        if lock.try_take()? {
            return Ok(lock);
        }
        busy().await;
        let mut said = Instant::now();
        while !lock.try_take()? {
            if said.elapsed() >= SAY_SO {
                said = Instant::now();
                tracing::info!(target: PROGRESS, "still waiting for another run from {}", folder.display());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(lock)
    }

    fn try_take(&self) -> Result<bool, CheckoutError> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => {
                Err(CheckoutError::Io { attempted: "locked", path: self.folder.clone(), source })
            }
        }
    }
}
