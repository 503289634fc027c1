//! How much room there is on the engine's host, beside what the jobs that run may still take.

use std::time::Duration;

use api_client::{JobId, ProjectId};
use tokio::time::timeout;

use crate::board::JobStage;
use crate::config::{Config, ContainerLimits};
use crate::context::Context;
use crate::engine::{ContainerRef, EngineFacts};
use crate::headroom::{Share, Supply, disk_here, left, memory_here};

/// For one measurement: a claim is not kept waiting by an engine that counts for long.
const MEASUREMENT: Duration = Duration::from_secs(5);

/// What one more job may take of something, and what is left of it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// The setting that says how much it may take.
    pub(crate) setting: &'static str,
    /// The most that it may take.
    pub(crate) need: u64,
    /// What is left.
    pub(crate) left: u64,
}

/// What a job that runs may take, and has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    memory: Option<Share>,
    disk: Option<Share>,
}

/// The room for a job of this project, or of any; only for what its settings limit, and as far as it
/// is known.
pub(crate) fn room(
    facts: &EngineFacts,
    config: &Config,
    project: Option<ProjectId>,
    running: &[Shares],
) -> Vec<Room> {
    let supplies = supplies(facts, config);
    let most = |of: fn(&ContainerLimits) -> Option<u64>| match project {
        Some(project) => of(&config.agent_for(project).limits),
        None => config.agents().filter_map(|agent| of(&agent.limits)).max(),
    };
    let shares =
        |of: fn(&Shares) -> Option<Share>| running.iter().filter_map(of).collect::<Vec<_>>();
    let resources = [
        ("AGENT_MEMORY", most(memory_limit), supplies.0, shares(|shares| shares.memory)),
        ("AGENT_DISK", most(disk_limit), supplies.1, shares(|shares| shares.disk)),
    ];
    let of_one = |(setting, need, supply, running): (_, Option<u64>, Option<Supply>, Vec<_>)| {
        Some(Room { setting, need: need?, left: left(supply?, &running) })
    };
    resources.into_iter().filter_map(of_one).collect()
}

/// Memory and disk of the engine's host. Where that is another one, it tells its memory only.
fn supplies(facts: &EngineFacts, config: &Config) -> (Option<Supply>, Option<Supply>) {
    let host = config.engine.host.as_deref();
    let by_socket = host.is_none_or(|host| host.starts_with("unix://"));
    match facts.folder.as_deref().filter(|folder| by_socket && folder.is_dir()) {
        Some(folder) => (memory_here(), disk_here(folder)),
        None => ((facts.memory > 0).then_some(Supply::Total(facts.memory)), None),
    }
}

/// What the jobs that have a container, or are about to, may take and have taken.
pub(super) async fn running(ctx: &Context, config: &Config) -> Vec<Shares> {
    let mut running = Vec::new();
    for job in ctx.board.snapshot().jobs {
        if matches!(job.stage, JobStage::OnHost | JobStage::Reporting) {
            continue;
        }
        let agent = job.project.map_or(&config.agent, |project| config.agent_for(project));
        running.push(shares(ctx, job.job, &agent.limits).await);
    }
    running
}

/// What cannot be measured counts as not taken yet: rather too little room than too many jobs.
async fn shares(ctx: &Context, job: JobId, limits: &ContainerLimits) -> Shares {
    let container = ContainerRef::of(job);
    let mut shares = Shares::default();
    if let Some(limit) = memory_limit(limits) {
        let taken = timeout(MEASUREMENT, ctx.engine.memory_use(&container)).await;
        let taken = taken.ok().and_then(Result::ok).flatten().unwrap_or(0);
        shares.memory = Some(Share { limit, taken });
    }
    if let Some(limit) = disk_limit(limits) {
        // All that AGENT_DISK counts: the free space is less by just that already.
        shares.disk = Some(Share { limit, taken: ctx.disk_seen.of(job) });
    }
    shares
}

/// Memory and swap are different things: only the first one is looked after.
fn memory_limit(limits: &ContainerLimits) -> Option<u64> {
    limits.memory.map(u64::from)
}

fn disk_limit(limits: &ContainerLimits) -> Option<u64> {
    limits.disk.map(u64::from)
}
