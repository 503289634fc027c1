//! How much room there is on the engine's host, beside what the jobs that run may still take.

use std::path::Path;
use std::time::Duration;

use api_client::{JobId, ProjectId};
use tokio::time::timeout;

use crate::board::JobStage;
use crate::config::{Config, ContainerLimits};
use crate::context::Context;
use crate::engine::{ContainerRef, EngineFacts};
use crate::headroom::{Share, Supply, disk_here, left, memory_here, whole_disk};

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
    /// How much there is altogether, where that is known.
    pub(crate) whole: Option<u64>,
}

impl Room {
    /// Whether there will never be enough.
    pub(crate) fn is_too_small(&self) -> bool {
        self.whole.is_some_and(|whole| whole < self.need)
    }
}

/// Which of an agent's limits.
type Limit = fn(&ContainerLimits) -> Option<u64>;

/// What a job that runs may take, and has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    memory: Option<Share>,
    disk: Option<Share>,
}

/// The room for a job of this project, or of any; only for what its settings limit, and as far as it
/// is known. A project whose limit is beyond all that there is keeps no other one waiting.
pub(crate) fn room(
    facts: &EngineFacts,
    config: &Config,
    project: Option<ProjectId>,
    running: &[Shares],
) -> Vec<Room> {
    let supplies = supplies(facts, config);
    let most = |of: Limit, whole: Option<u64>| match project {
        Some(project) => of(&config.agent_for(project).limits),
        None => {
            let fits = |need: &u64| whole.is_none_or(|whole| *need <= whole);
            let all = config.agents().filter_map(|agent| of(&agent.limits)).filter(fits);
            all.chain(of(&config.agent.limits)).max()
        }
    };
    let wholes =
        ((facts.memory > 0).then_some(facts.memory), folder(facts, config).and_then(whole_disk));
    let shares =
        |of: fn(&Shares) -> Option<Share>| running.iter().filter_map(of).collect::<Vec<_>>();
    let resources = [
        ("AGENT_MEMORY", memory_limit as Limit, wholes.0, supplies.0, shares(|of| of.memory)),
        ("AGENT_DISK", disk_limit as Limit, wholes.1, supplies.1, shares(|of| of.disk)),
    ];
    let of_one = |(setting, limit, whole, supply, running): (_, Limit, _, Option<_>, Vec<_>)| {
        Some(Room { setting, need: most(limit, whole)?, left: left(supply?, &running), whole })
    };
    resources.into_iter().filter_map(of_one).collect()
}

/// Memory and disk of the engine's host. Where that is another one, it tells its memory only.
fn supplies(facts: &EngineFacts, config: &Config) -> (Option<Supply>, Option<Supply>) {
    match folder(facts, config) {
        Some(folder) => (memory_here(), disk_here(folder)),
        None => ((facts.memory > 0).then_some(Supply::Total(facts.memory)), None),
    }
}

/// The engine's folder, where that is on this host.
fn folder<'f>(facts: &'f EngineFacts, config: &Config) -> Option<&'f Path> {
    let host = config.engine.host.as_deref();
    let by_socket = host.is_none_or(|host| host.starts_with("unix://"));
    facts.folder.as_deref().filter(|folder| by_socket && folder.is_dir())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment, Flags};

    #[test]
    fn a_limit_beyond_the_whole_host_holds_its_own_project_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (file, project) = (dir.path().join("c.toml"), ProjectId::random());
        let text = format!(
            "[agent]\nmemory = \"1g\"\n\
             [project.\"{project}\"]\nmemory = \"64g\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let flags = Flags { config: Some(file), ..Flags::default() };
        let config = config::load(
            &flags,
            &Environment::of([("TERARCHITECT_API_URL", "http://app.example")]),
        )
        .unwrap()
        .config;
        let facts = EngineFacts { memory: 24 << 30, ..EngineFacts::default() };
        let any = room(&facts, &config, None, &[]);
        assert_eq!(any.iter().map(|room| room.need).collect::<Vec<_>>(), [1 << 30]);
        let own = room(&facts, &config, Some(project), &[]);
        assert!(own.iter().any(Room::is_too_small), "{own:?}");
    }
}
