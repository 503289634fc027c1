//! A container as we describe it, and its translation for the engine.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    ResourcesUlimits,
};

use super::rights::Rights;
use crate::config::{ContainerLimits, RootFolder};

/// Size at which the engine rotates a container's own log, and how many files it keeps. The
/// output is copied to our file while it comes; this bounds the engine's copy.
const LOG_FILE_SIZE: &str = "32m";
const LOG_FILES: &str = "2";

/// Everything that is asked of the engine for one container. Holds no secret: all of it can be read
/// in `docker inspect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerSpec {
    pub(crate) image: String,
    /// Arguments of the image's entry point.
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// The user of its first process; the image's where absent.
    pub(crate) user: Option<String>,
    pub(crate) rights: Rights,
    /// The runtime by its name; the engine's default where absent.
    pub(crate) runtime: Option<String>,
    pub(crate) limits: ContainerLimits,
    pub(crate) root: RootFolder,
    /// Folders in memory, with their mount options.
    pub(crate) in_memory: BTreeMap<String, String>,
    /// Paths that get a new volume each, removed with the container.
    pub(crate) scratch_volumes: Vec<String>,
    pub(crate) mounts: Vec<MountSpec>,
    /// A network by name or id; the engine's default bridge when absent.
    pub(crate) network: Option<String>,
    /// Further lines of `/etc/hosts`, as `name:address`.
    pub(crate) extra_hosts: Vec<String>,
    /// Addresses of name servers; the engine's own where empty.
    pub(crate) name_servers: Vec<String>,
    /// Settings of the kernel for its network.
    pub(crate) sysctls: BTreeMap<String, String>,
}

/// Something of the host in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MountSpec {
    /// A named volume, made with these labels when it is not there.
    Volume { name: String, target: String, labels: BTreeMap<String, String> },
    /// A path of the host.
    Bind { source: String, target: String },
}

impl MountSpec {
    /// The name of the volume, if it is one.
    pub(crate) fn volume(&self) -> Option<&str> {
        match self {
            Self::Volume { name, .. } => Some(name),
            Self::Bind { .. } => None,
        }
    }
}

impl ContainerSpec {
    /// The same for an engine whose storage gives containers no limit.
    pub(super) fn without_disk_limit(mut self) -> Self {
        self.limits.disk = None;
        self
    }
}

impl From<ContainerSpec> for ContainerCreateBody {
    fn from(spec: ContainerSpec) -> Self {
        let log_options = [("max-size", LOG_FILE_SIZE), ("max-file", LOG_FILES)];
        let mut host_config = HostConfig {
            mounts: Some(spec.mounts.into_iter().map(Mount::from).collect()),
            network_mode: spec.network,
            extra_hosts: Some(spec.extra_hosts),
            dns: (!spec.name_servers.is_empty()).then_some(spec.name_servers),
            sysctls: (!spec.sysctls.is_empty()).then(|| spec.sysctls.into_iter().collect()),
            runtime: spec.runtime,
            readonly_rootfs: Some(spec.root == RootFolder::ReadOnly),
            tmpfs: Some(spec.in_memory.into_iter().collect()),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(owned(log_options)),
            }),
            ..HostConfig::default()
        };
        spec.rights.apply(&mut host_config);
        limit(&mut host_config, &spec.limits);
        Self {
            image: Some(spec.image),
            cmd: Some(spec.command),
            env: Some(
                spec.env.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
            ),
            labels: Some(spec.labels.into_iter().collect()),
            user: spec.user,
            volumes: Some(spec.scratch_volumes),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            host_config: Some(host_config),
            ..Self::default()
        }
    }
}

/// The limits, as the engine counts: swap together with memory, and signed.
fn limit(host: &mut HostConfig, limits: &ContainerLimits) {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    if let Some(memory) = limits.memory {
        host.memory = Some(signed(memory.get()));
        host.memory_swap = Some(signed(memory.get().saturating_add(limits.swap)));
    }
    host.nano_cpus = limits.nano_cpus.map(|cpus| signed(cpus.get()));
    host.pids_limit = limits.pids.map(|pids| i64::from(pids.get()));
    host.storage_opt =
        limits.disk.map(|disk| HashMap::from([("size".to_owned(), disk.to_string())]));
    host.shm_size = Some(signed(limits.shm.get()));
    let ulimit = |name: &str, most: i64| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(most),
        hard: Some(most),
    };
    // A core dump holds the memory of its process, and so its secrets.
    let mut ulimits = vec![ulimit("core", 0)];
    ulimits.extend(limits.nofile.map(|files| ulimit("nofile", i64::from(files.get()))));
    host.ulimits = Some(ulimits);
}

impl From<MountSpec> for Mount {
    fn from(mount: MountSpec) -> Self {
        let plain = |typ, source, target| Self {
            typ: Some(typ),
            source: Some(source),
            target: Some(target),
            ..Self::default()
        };
        match mount {
            MountSpec::Volume { name, target, labels } => Self {
                volume_options: (!labels.is_empty()).then(|| MountVolumeOptions {
                    labels: Some(labels.into_iter().collect()),
                    ..MountVolumeOptions::default()
                }),
                ..plain(MountType::VOLUME, name, target)
            },
            MountSpec::Bind { source, target } => plain(MountType::BIND, source, target),
        }
    }
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> HashMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn limits() -> ContainerLimits {
        ContainerLimits {
            memory: NonZeroU64::new(512 << 20),
            swap: 64 << 20,
            nano_cpus: None,
            pids: None,
            shm: NonZeroU64::MIN,
            disk: None,
            nofile: None,
        }
    }

    #[test]
    fn swap_is_counted_with_the_memory_and_no_core_is_ever_dumped() {
        let mut host = HostConfig::default();
        limit(&mut host, &limits());
        assert_eq!((host.memory, host.memory_swap), (Some(512 << 20), Some(576 << 20)));
        let core = &host.ulimits.unwrap()[0];
        assert_eq!((core.name.as_deref(), core.hard), (Some("core"), Some(0)));
    }

    #[test]
    fn only_a_privileged_container_is_privileged() {
        for rights in [
            Rights::MountsAndNetworks,
            Rights::UserNamespaces,
            Rights::Default,
            Rights::ChangeUser,
            Rights::Nothing,
        ] {
            let mut host = HostConfig::default();
            rights.apply(&mut host);
            assert_eq!(host.privileged, None, "{rights:?}");
        }
    }
}
