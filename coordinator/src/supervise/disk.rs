//! How much disk space an agent takes, where the engine's storage gives it no limit.

use std::future::pending;
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use crate::context::Context;
use crate::engine::{ContainerRef, DiskUse};
use crate::job::Place;
use crate::ledger::Record;

/// Between two looks. The engine counts the files of the container for each.
const PERIOD: Duration = Duration::from_secs(5);

/// Returns when an agent's container takes more disk space than it may: with the limit, in bytes.
pub(super) async fn exceeded(ctx: &Context, record: &Record, place: &Place) -> u64 {
    let config = ctx.config();
    let agent = record.job.ticket.map_or(&config.agent, |of| config.agent_for(of.project_id));
    let (Some(limit), Place::Container(container)) = (agent.limits.disk, place) else {
        return pending().await;
    };
    let limit = NonZeroU64::get(limit);
    loop {
        sleep(PERIOD).await;
        match taken(ctx, container).await {
            Some(taken) if taken > limit => return limit,
            Some(_) | None => {}
        }
    }
}

/// What a container and its own volumes take; none while the engine does not tell.
async fn taken(ctx: &Context, container: &ContainerRef) -> Option<u64> {
    let DiskUse { layer, volumes } = ctx.engine.disk_use(container).await.ok()?;
    let folders = tokio::task::spawn_blocking(move || {
        volumes.iter().map(|folder| size_of(folder)).sum::<u64>()
    });
    Some(layer.saturating_add(folders.await.ok()?))
}

/// The space that a folder's files take; what cannot be read (an engine on another host) counts as
/// nothing.
fn size_of(folder: &Path) -> u64 {
    let Ok(device) = folder.symlink_metadata().map(|meta| meta.dev()) else { return 0 };
    size_on(device, folder)
}

fn size_on(device: u64, folder: &Path) -> u64 {
    /// Of the blocks that the system counts in, whatever those of the disk are.
    const BLOCK: u64 = 512;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.path().symlink_metadata().ok()?)))
        .filter(|(_, meta)| meta.dev() == device)
        .map(|(path, meta)| {
            let below = if meta.is_dir() { size_on(device, &path) } else { 0 };
            below + meta.blocks() * BLOCK
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folders_size_is_that_of_its_files_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("below")).unwrap();
        let file = dir.path().join("below/file");
        std::fs::write(&file, vec![7; 1 << 20]).unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).unwrap();
        let size = size_of(dir.path());
        assert!((1 << 20..2 << 20).contains(&size), "{size}");
        assert_eq!(size_of(Path::new("/no/such/folder")), 0);
    }
}
