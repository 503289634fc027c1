//! The size of the cache volume, where the engine keeps it on this host.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Occasion;
use crate::context::Context;
use crate::engine::{EngineError, Leftover, LeftoverKind};

/// A cache can have very many files: it is measured no more often than this.
const PERIOD: Duration = Duration::from_secs(3_600);

/// When the cache was last measured.
#[derive(Debug, Default)]
pub(crate) struct Measured(Mutex<Option<Instant>>);

impl Measured {
    /// Whether it is time again; if so, the next time is an hour from now.
    fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| at.elapsed() > PERIOD);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

/// The cache volume, if it is larger than this many bytes. It is looked at while no job runs, and not
/// at all where the engine is on another host or keeps it where we may not look. An operator who asks
/// is told what is so now.
pub(super) async fn too_large(
    ctx: &Context,
    bytes: u64,
    occasion: Occasion,
) -> Result<Option<Leftover>, EngineError> {
    let Some(volume) = ctx.config().agent.cache_volume.clone() else { return Ok(None) };
    if bytes == 0 || !ctx.board.snapshot().jobs.is_empty() {
        return Ok(None);
    }
    if occasion == Occasion::Round && !ctx.measured.is_due() {
        return Ok(None);
    }
    let Some(path) = ctx.engine.volume_path(&volume).await? else { return Ok(None) };
    let size = tokio::task::spawn_blocking(move || size_of(&path)).await.unwrap_or_default();
    let leftover = || Leftover { kind: LeftoverKind::Volume, id: volume, job: None };
    Ok((size > bytes).then(leftover))
}

/// What the files below a folder take, in bytes; what cannot be looked at takes nothing.
fn size_of(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => size_of(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_followed_and_folders_are() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("inner")).unwrap();
        fs::write(dir.path().join("inner/file"), [0; 1_000]).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        assert_eq!(size_of(dir.path()), 1_000 + 1);
    }
}
