//! How much disk space an agent takes, where the engine's storage gives it no limit: the layer of its
//! container, its own volumes, and what the volumes that it shares have grown by.

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api_client::{JobId, error_chain};
use tokio::time::sleep;

use crate::context::Context;
use crate::engine::{ContainerRef, DiskUse, EngineError};
use crate::folder_size::{FolderSize, sizes_of};
use crate::job::Place;
use crate::ledger::Record;

/// Between two looks. The engine counts the files of the container for each.
const PERIOD: Duration = Duration::from_secs(5);

/// So many looks in a row that tell nothing are said.
const FAILURES: u32 = 3;

/// What the jobs that are watched took when they were last looked at, in bytes.
#[derive(Debug, Default)]
pub(crate) struct DiskSeen(Mutex<HashMap<JobId, u64>>);

impl DiskSeen {
    /// What a job took; nothing, as long as it is not known.
    pub(crate) fn of(&self, job: JobId) -> u64 {
        self.all().get(&job).copied().unwrap_or(0)
    }

    /// What all of them took.
    pub(crate) fn together(&self) -> u64 {
        self.all().values().fold(0, |sum, taken| sum.saturating_add(*taken))
    }

    fn all(&self) -> MutexGuard<'_, HashMap<JobId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when an agent's container takes more disk space than it may: with the limit, in bytes.
pub(super) async fn exceeded(ctx: &Context, record: &Record, place: &Place) -> u64 {
    let config = ctx.config();
    let agent = record.job.ticket.map_or(&config.agent, |of| config.agent_for(of.project_id));
    let (Some(limit), Place::Container(container)) = (agent.limits.disk, place) else {
        return pending().await;
    };
    let limit = NonZeroU64::get(limit);
    let mut watch = Watch { ctx, job: record.job.job_id, taken: Taken::default(), failed: 0 };
    loop {
        if watch.look(container).await.is_some_and(|taken| taken > limit) {
            return limit;
        }
        sleep(PERIOD).await;
    }
}

struct Watch<'a> {
    ctx: &'a Context,
    job: JobId,
    taken: Taken,
    /// How many looks in a row told nothing.
    failed: u32,
}

impl Watch<'_> {
    /// What the job takes; none while nobody tells.
    async fn look(&mut self, container: &ContainerRef) -> Option<u64> {
        match self.measure(container).await {
            Ok(taken) => {
                self.failed = 0;
                self.ctx.disk_seen.all().insert(self.job, taken);
                Some(taken)
            }
            Err(error) => {
                self.failed += 1;
                if self.failed == FAILURES {
                    let error = error_chain(&error);
                    tracing::warn!(
                        job.id = %self.job, error,
                        "AGENT_DISK does not hold: what the job takes cannot be measured"
                    );
                }
                None
            }
        }
    }

    async fn measure(&mut self, container: &ContainerRef) -> Result<u64, EngineError> {
        let DiskUse { layer, own, shared } = self.ctx.engine.disk_use(container).await?;
        let measured = move || (sizes_of(&own), sizes_of(&shared));
        let (own, shared) = tokio::task::spawn_blocking(measured).await.unwrap_or_default();
        if let Some(folder) = self.taken.first_unread(&own, &shared) {
            tracing::warn!(
                job.id = %self.job, folder = %folder.display(),
                "AGENT_DISK does not hold for all of the job: there are files in this volume that \
                 the coordinator cannot look at"
            );
        }
        Ok(layer.saturating_add(self.taken.by_volumes(&own, shared)))
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.ctx.disk_seen.all().remove(&self.job);
    }
}

type Sizes = BTreeMap<PathBuf, FolderSize>;

/// What the volumes of one container take.
#[derive(Debug, Default)]
struct Taken {
    /// What the shared ones took at the first look.
    before: Option<Sizes>,
    unread_said: bool,
}

impl Taken {
    /// Shared volumes count with what they have grown by since the first look.
    fn by_volumes(&mut self, own: &Sizes, shared: Sizes) -> u64 {
        let own = own.values().map(|size| size.bytes);
        let before = self.before.get_or_insert_with(|| shared.clone());
        let grown = shared.into_iter().map(|(folder, now)| {
            now.bytes.saturating_sub(before.get(&folder).map_or(0, |size| size.bytes))
        });
        own.chain(grown).fold(0, u64::saturating_add)
    }

    /// A volume that could not be read whole, once.
    fn first_unread<'s>(&mut self, own: &'s Sizes, shared: &'s Sizes) -> Option<&'s Path> {
        if self.unread_said {
            return None;
        }
        let (folder, _) = own.iter().chain(shared).find(|(_, size)| size.unread > 0)?;
        self.unread_said = true;
        Some(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(bytes: u64, unread: u64) -> Sizes {
        BTreeMap::from([(PathBuf::from("/v"), FolderSize { bytes, unread })])
    }

    #[test]
    fn a_shared_volume_counts_with_what_it_has_grown_by_and_an_own_one_whole() {
        let mut taken = Taken::default();
        assert_eq!(taken.by_volumes(&sizes(7, 0), sizes(1_000, 0)), 7);
        assert_eq!(taken.by_volumes(&sizes(8, 0), sizes(1_500, 0)), 508);
        assert_eq!(taken.by_volumes(&sizes(8, 0), sizes(10, 0)), 8);
    }

    #[test]
    fn a_volume_that_cannot_be_read_is_told_once() {
        let mut taken = Taken::default();
        assert_eq!(taken.first_unread(&sizes(1, 0), &sizes(1, 0)), None);
        assert_eq!(taken.first_unread(&sizes(1, 0), &sizes(1, 2)), Some(Path::new("/v")));
        assert_eq!(taken.first_unread(&sizes(1, 3), &sizes(1, 2)), None);
    }
}
