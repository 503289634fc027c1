//! The agent's container: what it is, what it may do, and what it may use.

mod read;

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use api_client::contract::{JobDocument, env};
use serde::{Deserialize, Serialize};

use super::AgentProxies;

pub(super) use self::read::{read_agent, read_image};

/// The agent's container, for all projects or for one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AgentConfig {
    /// Its image.
    pub(crate) image: ImageChoice,
    /// When that is pulled.
    pub(crate) pull: PullPolicy,
    /// How long a pull of it may make no progress.
    pub(crate) pull_patience: Duration,
    /// Which Docker it may use.
    pub(crate) docker_mode: DockerMode,
    /// Whether [`DockerMode::Dood`] mounts the engine's socket.
    pub(crate) socket: SocketMount,
    /// How many agents may use [`DockerMode::Dood`] at once.
    pub(crate) dood: DoodUse,
    /// The runtime by its name; none for the engine's default.
    pub(crate) runtime: Option<String>,
    /// What it may take of the machine.
    pub(crate) limits: ContainerLimits,
    /// Whether its root may be written.
    pub(crate) root: RootFolder,
    /// Its network.
    pub(crate) network: JobNetwork,
    /// What it reaches.
    pub(crate) egress: Egress,
    /// Where the model's key is put in.
    pub(crate) model_gateway: ModelGateway,
    /// The volume at `/cache`.
    pub(crate) cache_volume: Option<String>,
    /// Who shares it.
    pub(crate) cache_scope: CacheScope,
    /// What becomes of the images of its own Docker daemon.
    pub(crate) inner_layers: InnerLayers,
    /// Its proxies, where they are others than the coordinator's; what comes of both is in `settings`.
    pub(crate) proxies: AgentProxies,
    /// Its log.
    pub(crate) log: AgentLog,
    /// Settings that are handed on to every agent under their own names.
    pub(crate) settings: JobDocument,
}

/// An agent's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentLog {
    /// What is logged, in the form of `RUST_LOG`, where that is said.
    pub(crate) filter: Option<String>,
    /// Its form, where that is said.
    pub(crate) format: Option<AgentLogFormat>,
}

/// The form of an agent's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgentLogFormat {
    /// Text for people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl AgentLog {
    /// What its environment says of it.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let format = self.format.map(|format| match format {
            AgentLogFormat::Pretty => "pretty",
            AgentLogFormat::Json => "json",
        });
        let filter = self.filter.as_deref().map(|filter| (env::LOG_LEVEL, filter));
        filter.into_iter().chain(format.map(|format| (env::LOG_FORMAT, format)))
    }
}

/// The image of the agent's container, and whether somebody chose it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ImageChoice {
    /// The default: a project's own image comes before it.
    Default(String),
    /// Given by flag, environment or file: it comes before a project's own image.
    Explicit(String),
}

impl ImageChoice {
    /// The image of a project that has none of its own.
    pub(crate) fn general(&self) -> &str {
        match self {
            Self::Default(image) | Self::Explicit(image) => image,
        }
    }
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullPolicy {
    /// Before each claim, though not more often than once a minute.
    Always,
    /// When the engine does not have it.
    IfMissing,
    /// Not at all.
    Never,
}

/// Which Docker the agent may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DockerMode {
    /// A daemon of its own in its container, which is privileged for that.
    Dind,
    /// A daemon of its own in a container with some more rights than usual.
    DindCaps,
    /// A daemon of its own without rights, in a container with no more rights than usual.
    DindRootless,
    /// The daemon of this host.
    Dood,
    /// None.
    None,
}

impl DockerMode {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Dind, Self::DindCaps, Self::DindRootless, Self::Dood, Self::None];

    /// Its name as a setting.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Dind => "dind",
            Self::DindCaps => "dind-caps",
            Self::DindRootless => "dind-rootless",
            Self::Dood => "dood",
            Self::None => "none",
        }
    }
}

/// Whether the engine's socket is mounted in [`DockerMode::Dood`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketMount {
    /// It is.
    Mount,
    /// It is not: the agent is told a `DOCKER_HOST`.
    Leave,
}

/// How many agents may use [`DockerMode::Dood`] at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DoodUse {
    /// One: they could disturb each other's containers, ports and networks.
    One,
    /// As many as there are slots.
    Shared,
}

/// What an agent's container may take of the machine; none is no limit, or the engine's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerLimits {
    /// Bytes of memory.
    pub(crate) memory: Option<NonZeroU64>,
    /// Bytes of swap space beside it; 0 for none.
    pub(crate) swap: u64,
    /// Billionths of a processor.
    pub(crate) nano_cpus: Option<NonZeroU64>,
    /// Processes and threads.
    pub(crate) pids: Option<NonZeroU32>,
    /// Bytes of `/dev/shm`.
    pub(crate) shm: NonZeroU64,
    /// Bytes of disk space.
    pub(crate) disk: Option<NonZeroU64>,
    /// Open files of one process.
    pub(crate) nofile: Option<NonZeroU32>,
}

/// The root of the agent's container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootFolder {
    Writable,
    ReadOnly,
}

/// The network of an agent's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobNetwork {
    /// One of its own, removed with it.
    Own,
    /// This one.
    Named(String),
}

/// What an agent reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Egress {
    /// The policy.
    pub(crate) policy: EgressPolicy,
    /// Further hosts of [`EgressPolicy::AllowList`].
    pub(crate) allow: Vec<String>,
    /// What is done about other hosts.
    pub(crate) others: OtherHosts,
}

/// Which hosts an agent reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EgressPolicy {
    /// All.
    Open,
    /// The job's own, the package registries, and those of the operator.
    AllowList,
    /// The job's own.
    None,
}

impl AgentConfig {
    /// The setting by which its container keeps something from an agent that nothing keeps from it on the
    /// host: the network, or the model's key.
    pub(crate) fn guard(&self) -> Option<String> {
        match (self.egress.policy, self.model_gateway) {
            (EgressPolicy::Open, ModelGateway::Inside) => None,
            (EgressPolicy::Open, ModelGateway::Outside) => {
                Some("AGENT_MODEL_GATEWAY=outside".to_owned())
            }
            (policy, _) => Some(format!("AGENT_EGRESS={}", policy.name())),
        }
    }
}

impl EgressPolicy {
    /// Its name as a setting.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::AllowList => "allowlist",
            Self::None => "none",
        }
    }
}

/// What is done about hosts that are not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtherHosts {
    /// They are refused.
    Refused,
    /// They are allowed, and listed in the job's log.
    Learned,
}

/// Where the model's key is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelGateway {
    /// In the agent's container, out of the worker's reach.
    Inside,
    /// In a container beside it.
    Outside,
}

/// Who shares a cache volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheScope {
    /// The jobs of one project.
    Project,
    /// All jobs.
    Shared,
}

/// What becomes of the images of an agent's own Docker daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InnerLayers {
    /// They go with its container.
    Fresh,
    /// They are kept for the project's next job.
    Kept,
}
