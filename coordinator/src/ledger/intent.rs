//! The claim that is about to be made, written down before it is: an answer that never arrives is
//! asked for again under the same id, by this process or the next.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use api_client::ClaimId;
use serde::{Deserialize, Serialize};

use super::{LedgerError, write_json};

const FILE: &str = "claim-intent.json";
const VERSION: u32 = 1;

/// The id of the next claim. It stays the same until a claim has brought a job that is on record,
/// so that an idle coordinator writes nothing.
#[derive(Debug)]
pub(crate) struct ClaimIntent {
    path: PathBuf,
    claim: ClaimId,
    /// Whether the disk has it.
    written: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct OnDisk {
    version: u32,
    claim_id: ClaimId,
}

impl ClaimIntent {
    /// Takes up the intent of an earlier process. One that cannot be read is set aside: its claim, if
    /// it was made, is given to someone else when its lease is over.
    pub(crate) fn load(state_dir: &Path) -> Result<Self, LedgerError> {
        let path = state_dir.join(FILE);
        let fresh = |path| Self { path, claim: ClaimId::random(), written: false };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(fresh(path)),
            Err(source) => return Err(LedgerError::read(&path, source)),
        };
        match serde_json::from_slice(&text) {
            Ok(OnDisk { version: VERSION, claim_id }) => {
                Ok(Self { path, claim: claim_id, written: true })
            }
            Ok(_) | Err(_) => {
                let aside = path.with_extension("unreadable");
                tracing::error!(path = %aside.display(), "unreadable claim intent set aside");
                fs::rename(&path, &aside).map_err(|source| LedgerError {
                    action: "set aside",
                    path: path.clone(),
                    source,
                })?;
                Ok(fresh(path))
            }
        }
    }

    /// The id under which to claim; it is on disk when this returns.
    pub(crate) async fn prepare(&mut self) -> Result<ClaimId, LedgerError> {
        if !self.written {
            let (path, claim_id) = (self.path.clone(), self.claim);
            let write = move || write_json(&path, &OnDisk { version: VERSION, claim_id });
            match tokio::task::spawn_blocking(write).await {
                Ok(written) => written?,
                Err(error) => {
                    let (path, source) = (self.path.clone(), io::Error::other(error));
                    return Err(LedgerError { action: "write", path, source });
                }
            }
            self.written = true;
        }
        Ok(self.claim)
    }

    /// The claim has brought its job, or never will: the next one is another.
    pub(crate) fn spent(&mut self) {
        self.claim = ClaimId::random();
        self.written = false;
    }

    /// Spends the intent if a job that is on record came by it.
    pub(crate) fn spent_by(&mut self, mut held: impl Iterator<Item = ClaimId>) {
        if held.any(|claim| claim == self.claim) {
            self.spent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_next_process_asks_under_the_same_id_until_it_is_spent() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = ClaimIntent::load(dir.path()).unwrap();
        let claim = first.prepare().await.unwrap();
        assert_eq!(first.prepare().await.unwrap(), claim);
        let mut second = ClaimIntent::load(dir.path()).unwrap();
        assert_eq!(second.prepare().await.unwrap(), claim);
        second.spent_by([ClaimId::random()].into_iter());
        assert_eq!(second.prepare().await.unwrap(), claim);
        second.spent_by([claim].into_iter());
        assert_ne!(second.prepare().await.unwrap(), claim);
    }

    #[tokio::test]
    async fn every_truncation_is_set_aside_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        ClaimIntent::load(dir.path()).unwrap().prepare().await.unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            ClaimIntent::load(dir.path()).unwrap().prepare().await.unwrap();
            assert!(dir.path().join("claim-intent.unreadable").exists(), "cut at {length}");
        }
    }
}
