//! What the engine says of itself, and what a container takes of its memory.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bollard::models::{SystemInfo, SystemInfoCgroupVersionEnum};
use bollard::query_parameters::{InspectContainerOptions, StatsOptionsBuilder};
use futures_util::TryStreamExt;

use super::{CALL_TIMEOUT, ContainerRef, Engine, EngineError};

/// The part of the engine's information that decides what it can give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EngineFacts {
    /// The id that it gives itself; empty where it does not tell.
    pub(crate) id: String,
    /// Its version.
    pub(crate) version: String,
    /// The version of the API that is spoken with it.
    pub(crate) api: String,
    /// How it stores images and containers.
    pub(crate) storage: String,
    /// The file system below that; empty where it does not tell.
    pub(crate) file_system: String,
    /// 1 or 2; none where it does not tell.
    pub(crate) cgroups: Option<u8>,
    /// The runtimes by their names.
    pub(crate) runtimes: BTreeSet<String>,
    /// Which limits it does not enforce.
    pub(crate) lacks: BTreeSet<Lack>,
    /// The processors of its host.
    pub(crate) processors: u64,
    /// The memory of its host, in bytes.
    pub(crate) memory: u64,
    /// Where it keeps what it has, as a path of its own host.
    pub(crate) folder: Option<PathBuf>,
    /// What its clock says, as RFC 3339 writes it.
    pub(crate) time: Option<String>,
}

/// A limit that an engine does not enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lack {
    Memory,
    Swap,
    Processors,
    Processes,
}

impl Engine {
    /// What it says of itself.
    pub(crate) async fn facts(&self) -> Result<EngineFacts, EngineError> {
        let docker = self.docker().await?;
        let version = docker.client_version();
        let api = format!("{}.{}", version.major_version, version.minor_version);
        let info = self.call(CALL_TIMEOUT, "ask for the facts of", "the engine", docker.info());
        Ok(EngineFacts { api, ..facts(info.await?) })
    }

    /// An error if a container has another runtime than it was asked for: Podman 4.3 leaves that out
    /// without a word.
    pub(crate) async fn check_runtime(
        &self,
        name: &ContainerRef,
        asked: &str,
    ) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let inspect = docker.inspect_container(&name.0, None::<InspectContainerOptions>);
        let found = self.call(CALL_TIMEOUT, "inspect container", &name.0, inspect).await?;
        let given = found.host_config.and_then(|host| host.runtime).unwrap_or_default();
        if given == asked {
            return Ok(());
        }
        Err(EngineError::RuntimeIgnored { asked: asked.to_owned(), given })
    }

    /// The memory that a running container takes, in bytes, without what the kernel gives back when
    /// it is asked to; none where the engine does not tell.
    pub(crate) async fn memory_use(&self, name: &ContainerRef) -> Result<Option<u64>, EngineError> {
        let docker = self.docker().await?;
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut stats = Box::pin(docker.stats(&name.0, Some(options)));
        let next = self.call(CALL_TIMEOUT, "measure container", &name.0, stats.try_next()).await?;
        let memory = next.and_then(|stats| stats.memory_stats);
        Ok(memory.and_then(|memory| {
            let detail = memory.stats.unwrap_or_default();
            // The names of the two versions of control groups.
            let cache = ["total_inactive_file", "inactive_file"];
            let cache = cache.iter().find_map(|name| detail.get(*name)).copied().unwrap_or(0);
            Some(memory.usage?.saturating_sub(cache))
        }))
    }
}

fn facts(info: SystemInfo) -> EngineFacts {
    let status = info.driver_status.unwrap_or_default();
    let file_system = status.into_iter().find_map(|pair| match pair.as_slice() {
        [name, value] if name == "Backing Filesystem" => Some(value.clone()),
        _ => None,
    });
    let lacks = [
        (info.memory_limit, Lack::Memory),
        (info.swap_limit, Lack::Swap),
        (info.cpu_cfs_quota, Lack::Processors),
        (info.pids_limit, Lack::Processes),
    ];
    let count = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    EngineFacts {
        id: info.id.unwrap_or_default(),
        version: info.server_version.unwrap_or_default(),
        api: String::new(),
        storage: info.driver.unwrap_or_default(),
        file_system: file_system.unwrap_or_default(),
        cgroups: match info.cgroup_version {
            Some(SystemInfoCgroupVersionEnum::_1) => Some(1),
            Some(SystemInfoCgroupVersionEnum::_2) => Some(2),
            Some(SystemInfoCgroupVersionEnum::EMPTY) | None => None,
        },
        runtimes: info.runtimes.unwrap_or_default().into_keys().collect(),
        // An engine that says nothing is taken at its word when a container is started.
        lacks: lacks
            .into_iter()
            .filter(|(has, _)| *has == Some(false))
            .map(|(_, lack)| lack)
            .collect(),
        processors: count(info.ncpu),
        memory: count(info.mem_total),
        folder: info.docker_root_dir.map(PathBuf::from),
        time: info.system_time,
    }
}
