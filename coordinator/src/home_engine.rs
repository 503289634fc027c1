//! The engine that our containers are on, by the id that it gives itself, kept in the state directory.
//! From what another engine knows nothing is concluded about them: they may run on where they are.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::{Engine, EngineError};
use crate::ledger::{Existing, LedgerError, aside, write_durably};
use crate::present::present;

/// The file in the state directory.
const FILE: &str = "engine-id";

/// The engine that was used first, or last while no container of ours was on it.
#[derive(Debug)]
pub(crate) struct HomeEngine {
    path: PathBuf,
    id: Mutex<Known>,
}

/// Its id, and whether the disk has it.
#[derive(Debug)]
struct Known {
    id: Option<String>,
    written: bool,
}

/// Whether our containers are on the engine that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EngineSeen {
    /// They are, or none is anywhere, or it does not tell which it is.
    Home,
    /// They are on another one.
    Another(AnotherEngine),
}

/// What is to be said and done about an engine that is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnotherEngine {
    path: PathBuf,
}

impl fmt::Display for AnotherEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the Docker Engine at DOCKER_HOST is another one than that on which the jobs of this \
             coordinator run: they wait for that one. Set DOCKER_HOST to it and restart; or, if it is \
             gone for good, remove {} and restart: then they are reported as failed",
            self.path.display()
        )
    }
}

impl HomeEngine {
    /// As it was written down. What cannot be read is an error: as if nothing had been written, running
    /// jobs would be given up.
    pub(crate) fn load(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(FILE);
        let id = present(fs::read_to_string(&path))?.map(|id| id.trim().to_owned());
        Ok(Self { path, id: Mutex::new(Known { id, written: true }) })
    }

    /// Whether this engine is the one. Where no container of ours is to be anywhere, it becomes that.
    pub(crate) async fn see(
        &self,
        engine: &Engine,
        containers: Containers,
    ) -> Result<EngineSeen, EngineError> {
        let Some(now) = own_id(engine).await? else { return Ok(EngineSeen::Home) };
        {
            let known = self.id();
            let same = known.id.as_deref() == Some(now.as_str());
            if same && known.written {
                return Ok(EngineSeen::Home);
            }
            if !same && known.id.is_some() && containers == Containers::Ours {
                return Ok(EngineSeen::Another(AnotherEngine { path: self.path.clone() }));
            }
        }
        let written = self.write(&now).await;
        if let Err(error) = &written {
            tracing::warn!(%error, "which engine is used was not written down");
        }
        *self.id() = Known { id: Some(now), written: written.is_ok() };
        Ok(EngineSeen::Home)
    }

    async fn write(&self, id: &str) -> Result<(), LedgerError> {
        let (path, text) = (self.path.clone(), format!("{id}\n"));
        let write = move || {
            let dir = path.parent().unwrap_or(Path::new("."));
            write_durably(dir, &path, text.as_bytes(), Existing::Replace)
        };
        aside(&self.path, write).await
    }

    fn id(&self) -> MutexGuard<'_, Known> {
        self.id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether jobs are held that have containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Containers {
    Ours,
    None,
}

impl Containers {
    /// From whether there is any.
    pub(crate) fn of(mut jobs: impl Iterator<Item = ()>) -> Self {
        if jobs.next().is_some() { Self::Ours } else { Self::None }
    }
}

/// The id that an engine gives itself. Podman makes up another one for each answer: that is none.
async fn own_id(engine: &Engine) -> Result<Option<String>, EngineError> {
    let (one, other) = (engine.facts().await?.id, engine.facts().await?.id);
    Ok((one == other && !one.is_empty()).then_some(one))
}
