//! Collecting what is known, when someone asks. Nothing is measured for it but what takes no time.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::assess::{Facts, Health, Ready, health, ready};
use crate::clock;
use crate::context::Context;
use crate::headroom::{Supply, disk_here};
use crate::logging::Log;
use crate::metrics::{NotTold, Process, Room, Sights};

/// A disk that does not answer in this time is told of as not known.
const DISK: Duration = Duration::from_secs(2);

/// Whether jobs are claimed.
pub(super) fn readiness(ctx: &Context) -> Ready {
    let facts = Facts {
        gate: ctx.gate.current(),
        stopping: ctx.shutdown.has_begun(),
        asked: ctx.board.since_round().is_some(),
        holds: ctx.board.holds(),
    };
    ready(facts, &ctx.board.snapshot())
}

/// How it is.
pub(super) async fn health_of(ctx: &Context) -> Health {
    let engine = ctx.engine_calls().map(|calls| calls.seen());
    let (room, most) = (room(ctx).await, ctx.config().limits.outbox_max.get());
    let app = ctx.live.app_calls().seen();
    health(&ctx.board.snapshot(), &app, engine.as_ref(), room, most)
}

/// All that the page of metrics shows.
pub(super) async fn sights(ctx: &Context) -> Sights {
    let room = room(ctx).await;
    let process = process(ctx.started);
    let uptime = Duration::from_secs(clock::now().saturating_sub(process.started));
    Sights {
        status: ctx.board.snapshot(),
        tally: ctx.board.tally(),
        gate: ctx.gate.current(),
        ready: readiness(ctx).ready,
        oldest_run: ctx.board.oldest_run(),
        since_round: ctx.board.since_round().unwrap_or(uptime),
        queue: ctx.board.queued(),
        engine: ctx.engine_calls().map(|calls| calls.seen()),
        app: ctx.live.app_calls().seen(),
        room,
        left_out: left_out(ctx),
        process,
    }
}

fn left_out(ctx: &Context) -> NotTold {
    let log = ctx.log.get();
    NotTold {
        log: log.map_or(0, Log::left_out),
        job_output: log.map_or(0, Log::left_out_of_jobs),
        notifications: ctx.notifier.left_out(),
        spans: ctx.traces.left_out(),
    }
}

/// Looks at the disks, one caller at a time: a thread that a disk holds is lost for as long as it does, and is to be
/// the only one.
#[derive(Clone, Debug)]
pub(crate) struct DiskLooks(Arc<Semaphore>);

impl Default for DiskLooks {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl DiskLooks {
    /// What was seen; nothing where it takes longer than `limit`, or somebody else's look does.
    async fn look<T: Send + 'static>(
        &self,
        limit: Duration,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let looking = async {
            let turn = Arc::clone(&self.0).acquire_owned().await.ok()?;
            let look = move || {
                let seen = look();
                drop(turn);
                seen
            };
            spawn_blocking(look).await.ok()
        };
        timeout(limit, looking).await.ok().flatten()
    }
}

async fn room(ctx: &Context) -> Room {
    let (state, engine) = (ctx.state_dir.clone(), ctx.board.engine_folder());
    let look = move || (free(&state), engine.as_deref().and_then(free));
    let (state_free, engine_free) = ctx.disk_looks.look(DISK, look).await.unwrap_or((None, None));
    let measures = ctx.board.measures();
    Room {
        state_free,
        engine_free,
        floor: ctx.config().limits.disk_floor,
        workspaces: ctx.disk_seen.together(),
        caches: measures.caches,
        logs: measures.logs,
    }
}

fn free(folder: &Path) -> Option<u64> {
    match disk_here(folder)? {
        Supply::Free(bytes) | Supply::Total(bytes) => Some(bytes),
    }
}

/// What the kernel tells of this process (`proc(5)`).
fn process(started: u64) -> Process {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| {
        let kibibytes = line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?;
        kibibytes.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
    });
    Process { resident, started }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_disk_that_hangs_holds_one_thread_however_often_it_is_asked_for() {
        let (looks, limit) = (DiskLooks::default(), Duration::from_millis(20));
        let (answer, hangs) = mpsc::channel::<()>();
        assert!(looks.look(limit, move || hangs.recv()).await.is_none());
        let (told, began) = mpsc::channel();
        for _ in 0..3 {
            let told = told.clone();
            assert!(looks.look(limit, move || told.send(())).await.is_none());
        }
        assert!(began.try_recv().is_err(), "another look was begun");
        drop(answer);
        assert_eq!(looks.look(Duration::from_secs(60), || 1).await, Some(1));
    }

    #[test]
    fn the_kernel_tells_of_this_process() {
        assert!(process(0).resident.unwrap() > 1 << 20);
    }
}
