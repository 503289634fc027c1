//! One run per repository of the user.
//!
//! Invariant: the lock is on the git directory itself and ends with the process, so no file of ours
//! is left and no lock outlives its run.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::CheckoutError;

/// How long another run is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between tries.
const PAUSE: Duration = Duration::from_millis(250);

/// Held until dropped.
#[derive(Debug)]
pub(super) struct RepositoryLock {
    /// The open file is the lock.
    _folder: File,
}

impl RepositoryLock {
    /// Waits for the lock, at most `patience`.
    pub(super) async fn take(folder: &Path, patience: Duration) -> Result<Self, CheckoutError> {
        let failed =
            |source| CheckoutError::Io { attempted: "locked", path: folder.to_owned(), source };
        let file = File::open(folder).map_err(failed)?;
        let waiting = async {
            loop {
                match file.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(PAUSE).await,
                    Err(TryLockError::Error(source)) => return Err(failed(source)),
                }
            }
        };
        match tokio::time::timeout(patience, waiting).await {
            Ok(taken) => taken.map(|()| Self { _folder: file }),
            Err(_elapsed) => Err(CheckoutError::Locked {
                path: folder.to_owned(),
                waited_secs: patience.as_secs(),
            }),
        }
    }
}
