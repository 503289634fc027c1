//! The sizes of the caches, where the engine keeps them on this host and this user may look into them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Occasion;
use crate::config::CacheScope;
use crate::context::Context;
use crate::engine::{EngineError, Leftover};
use crate::folder_size::{FolderSize, size_of};
use crate::launch::label;

/// A cache can have very many files: they are measured no more often than this.
const PERIOD: Duration = Duration::from_secs(3_600);

/// When the caches were last measured, and whether it was said that they cannot be.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    last: Mutex<Option<Instant>>,
    told: AtomicBool,
}

impl Measured {
    /// Whether it is time again; if so, the next time is an hour from now.
    fn is_due(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| at.elapsed() > PERIOD);
        if due {
            *last = Some(Instant::now());
        }
        due
    }

    /// Says once that a cache cannot be looked into.
    fn tell_unread(&self, volume: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                volume,
                "CACHE_KEEP_MIB does not hold: the coordinator's user cannot look into this cache; \
                 `docker volume rm` removes it by hand"
            );
        }
    }
}

/// The caches that are each larger than this many bytes and that no container has. They are not looked
/// at where the engine is on another host or keeps them where we may not look. An operator who asks is
/// told what is so now.
pub(super) async fn too_large(
    ctx: &Context,
    bytes: u64,
    occasion: Occasion,
) -> Result<Vec<Leftover>, EngineError> {
    if bytes == 0 || (occasion == Occasion::Round && !ctx.measured.is_due()) {
        return Ok(Vec::new());
    }
    let (mut large, mut together) = (Vec::new(), FolderSize::default());
    for volume in caches(ctx).await? {
        if !ctx.engine.users_of_volume(&volume).await?.is_empty() {
            continue;
        }
        let Some(path) = ctx.engine.volume_path(&volume).await? else { continue };
        let size = tokio::task::spawn_blocking(move || size_of(&path)).await.unwrap_or_default();
        together.bytes += size.bytes;
        together.unread += size.unread;
        if size.bytes > bytes {
            large.push(Leftover::volume(volume));
        } else if size.unread > 0 {
            ctx.measured.tell_unread(&volume);
        }
    }
    if together.unread == 0 {
        ctx.board.caches_measured(together.bytes);
    }
    Ok(large)
}

/// The names of all caches of ours: those with our labels, and the shared ones that are configured,
/// which may be older than the labels.
async fn caches(ctx: &Context) -> Result<BTreeSet<String>, EngineError> {
    let labels = [format!("{}={}", label::COORDINATOR, ctx.id), label::CACHE.to_owned()];
    let mut caches = BTreeSet::from_iter(ctx.engine.volumes(&labels).await?);
    let config = ctx.config();
    let shared = config.agents().filter(|agent| agent.cache_scope == CacheScope::Shared);
    caches.extend(shared.filter_map(|agent| agent.cache_volume.clone()));
    Ok(caches)
}
