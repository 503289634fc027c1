//! One coordinator for each state directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};

use super::durable::give_to_owner_of;
use super::{LedgerError, make_private_dir};

/// Holds the state directory; let go of when it is dropped or the process ends in any way.
#[derive(Debug)]
pub(crate) struct StateLock(#[expect(dead_code, reason = "held, never read")] Flock<File>);

/// The state directory cannot be held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another coordinator has it.
    #[error(
        "{} is held by another coordinator (pid {holder}); give this one a state directory of \
         its own (COORDINATOR_STATE_DIR)",
        dir.display()
    )]
    Held { dir: PathBuf, holder: String },
    /// The lock file cannot be used.
    #[error(transparent)]
    Unusable(#[from] LedgerError),
}

impl StateLock {
    /// Takes the state directory, making it (mode 0700) where it is not there.
    pub(crate) fn take(state_dir: &Path) -> Result<Self, LockError> {
        make_private_dir(state_dir)?;
        let path = state_dir.join("lock");
        let unusable = |source| LedgerError { action: "open", path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        // Root may take the directory of another user, who is not to have other files emptied by it.
        options.custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = options.open(&path).map_err(unusable)?;
        give_to_owner_of(state_dir, &file).map_err(unusable)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                let named = lock
                    .set_len(0)
                    .and_then(|()| lock.rewind())
                    .and_then(|()| writeln!(lock, "{}", std::process::id()));
                named.map_err(unusable)?;
                Ok(Self(lock))
            }
            Err((mut file, _)) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(unusable)?;
                Err(LockError::Held { dir: state_dir.to_owned(), holder: holder.trim().to_owned() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_coordinator_is_refused_and_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::take(dir.path()).unwrap();
        let error = StateLock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        drop(first);
        StateLock::take(dir.path()).unwrap();
    }
}
