//! A container as we describe it, and its translation for the engine.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType};

/// Size at which the engine rotates a container's own log, and how many files it keeps. The
/// output is copied to our file while it comes; this bounds the engine's copy.
const LOG_FILE_SIZE: &str = "32m";
const LOG_FILES: &str = "2";

/// Everything that is asked of the engine for one job. Holds no secret: all of it can be read in
/// `docker inspect`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContainerSpec {
    pub(crate) image: String,
    /// Arguments of the image's entry point.
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) privilege: Privilege,
    /// Paths that get a new volume each, removed with the container.
    pub(crate) scratch_volumes: Vec<String>,
    pub(crate) mounts: Vec<MountSpec>,
    /// A network by name; the engine's default bridge when absent.
    pub(crate) network: Option<String>,
    /// Further lines of `/etc/hosts`, as `name:address`.
    pub(crate) extra_hosts: Vec<String>,
}

/// What the container may do on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// The engine's default set of capabilities.
    #[default]
    Default,
    /// All of them, and the devices: what an inner Docker daemon needs.
    Privileged,
}

/// Something of the host in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MountSpec {
    /// A named volume, made when it is not there.
    Volume { name: String, target: String },
    /// A path of the host.
    Bind { source: String, target: String },
}

impl From<ContainerSpec> for ContainerCreateBody {
    fn from(spec: ContainerSpec) -> Self {
        let log_options = [("max-size", LOG_FILE_SIZE), ("max-file", LOG_FILES)];
        let host_config = HostConfig {
            privileged: Some(spec.privilege == Privilege::Privileged),
            mounts: Some(spec.mounts.into_iter().map(Mount::from).collect()),
            network_mode: spec.network,
            extra_hosts: Some(spec.extra_hosts),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(owned(log_options)),
            }),
            ..HostConfig::default()
        };
        Self {
            image: Some(spec.image),
            cmd: Some(spec.command),
            env: Some(
                spec.env.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
            ),
            labels: Some(spec.labels.into_iter().collect()),
            volumes: Some(spec.scratch_volumes),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            host_config: Some(host_config),
            ..Self::default()
        }
    }
}

impl From<MountSpec> for Mount {
    fn from(mount: MountSpec) -> Self {
        let (typ, source, target) = match mount {
            MountSpec::Volume { name, target } => (MountType::VOLUME, name, target),
            MountSpec::Bind { source, target } => (MountType::BIND, source, target),
        };
        Self { typ: Some(typ), source: Some(source), target: Some(target), ..Self::default() }
    }
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> HashMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
