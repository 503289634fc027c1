//! Whether the operator lets jobs be claimed. The answer is on disk: it survives a restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::ledger::{LedgerError, aside, write_json};

const VERSION: u32 = 1;

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GateState {
    /// Jobs are claimed.
    Open,
    /// None are, until the operator says otherwise.
    Paused,
    /// None are; when the last one has ended, so does the coordinator.
    Draining,
}

impl GateState {
    pub(crate) const ALL: [Self; 3] = [Self::Open, Self::Paused, Self::Draining];

    /// In one word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }
}

/// The operator's wish.
#[derive(Debug)]
pub(crate) struct Gate {
    path: PathBuf,
    state: Arc<watch::Sender<GateState>>,
    /// Held by whoever changes it, so that the disk has what holds.
    changing: Arc<Mutex<()>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OnDisk {
    version: u32,
    state: GateState,
}

impl Gate {
    /// The gate of a state directory, as the last coordinator left it. A file that cannot be read
    /// counts as a pause: claiming against the operator's wish is the worse mistake.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, LedgerError> {
        let path = state_dir.join("gate.json");
        let state = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => GateState::Open,
            Err(source) => return Err(LedgerError::read(&path, source)),
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(OnDisk { version: VERSION, state }) => state,
                Ok(_) | Err(_) => {
                    tracing::error!(
                        path = %path.display(),
                        "cannot be read: nothing is claimed until `coordinator resume`"
                    );
                    GateState::Paused
                }
            },
        };
        Ok(Self { path, state: Arc::new(watch::Sender::new(state)), changing: Arc::default() })
    }

    /// What holds now.
    pub(crate) fn current(&self) -> GateState {
        *self.state.borrow()
    }

    /// Waits for the next change.
    pub(crate) async fn changed(&self) {
        // The sender lives in `self`, so this ends by a change alone.
        let _changed = self.state.subscribe().changed().await;
    }

    /// Changes it, on disk first.
    pub(crate) async fn set(&self, state: GateState) -> Result<(), LedgerError> {
        let now = Arc::clone(&self.state);
        self.write(state, move || {
            now.send_if_modified(|now| std::mem::replace(now, state) != state);
        })
        .await
    }

    /// What the next start is to find. Who asks this process is told what holds until its end.
    pub(crate) async fn leave(&self, state: GateState) -> Result<(), LedgerError> {
        self.write(state, || ()).await
    }

    async fn write(
        &self,
        state: GateState,
        then: impl FnOnce() + Send + 'static,
    ) -> Result<(), LedgerError> {
        let (path, changing) = (self.path.clone(), Arc::clone(&self.changing));
        let change = move || {
            let _alone = changing.lock().unwrap_or_else(PoisonError::into_inner);
            write_json(&path, &OnDisk { version: VERSION, state })?;
            then();
            Ok(())
        };
        aside(&self.path, change).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_operators_wish_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        for state in [GateState::Paused, GateState::Draining, GateState::Open] {
            Gate::open(dir.path()).unwrap().set(state).await.unwrap();
            assert_eq!(Gate::open(dir.path()).unwrap().current(), state);
        }
    }

    #[tokio::test]
    async fn what_is_left_for_the_next_start_changes_nothing_now() {
        let dir = tempfile::tempdir().unwrap();
        let gate = Gate::open(dir.path()).unwrap();
        gate.set(GateState::Draining).await.unwrap();
        gate.leave(GateState::Open).await.unwrap();
        assert_eq!(gate.current(), GateState::Draining);
        assert_eq!(Gate::open(dir.path()).unwrap().current(), GateState::Open);
    }

    #[tokio::test]
    async fn every_truncation_counts_as_a_pause() {
        let dir = tempfile::tempdir().unwrap();
        Gate::open(dir.path()).unwrap().set(GateState::Open).await.unwrap();
        let path = dir.path().join("gate.json");
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(Gate::open(dir.path()).unwrap().current(), GateState::Paused, "{length}");
        }
    }
}
