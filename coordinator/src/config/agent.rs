//! The agent's container: what it is, what it may do, and what it may use.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use api_client::contract::JobDocument;

use super::parse::{self, Allowed};
use super::read::Reader;
use super::setting::container as table;
use super::{agent_env, limits};

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
    /// Settings that are handed on to every agent under their own names.
    pub(crate) settings: JobDocument,
}

/// The image of the agent's container, and whether somebody chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Every setting is read before the first `?`, so that all mistakes are found.
pub(super) fn read_agent(reader: &mut Reader<'_>) -> Option<AgentConfig> {
    let image = reader.optional(&table::IMAGE, parse::image);
    let image = match image {
        Some(None) => reader.value(&table::IMAGE, parse::image).map(ImageChoice::Default),
        given => given.flatten().map(ImageChoice::Explicit),
    };
    let pull = reader.value(&table::PULL, pull_policy);
    let pull_patience = reader.value(&table::PULL_PATIENCE, limits::positive_time);
    let docker_mode = reader.value(&table::DOCKER_MODE, docker_mode);
    let socket = reader.value(&table::SOCKET, switch(SocketMount::Leave, SocketMount::Mount));
    let dood = reader.value(&table::DOOD_SHARED, switch(DoodUse::One, DoodUse::Shared));
    let runtime = reader.optional(&table::RUNTIME, parse::network);
    let limits = read_limits(reader);
    let root = reader.value(&table::READ_ONLY, switch(RootFolder::Writable, RootFolder::ReadOnly));
    let network = reader.optional(&table::NETWORK, parse::network);
    let egress = read_egress(reader);
    let model_gateway = reader.value(&table::MODEL_GATEWAY, model_gateway);
    let cache_volume = reader.value(&table::CACHE_VOLUME, parse::volume);
    let cache_scope = reader.value(&table::CACHE_SCOPE, cache_scope);
    let inner_layers =
        reader.value(&table::CACHE_DOCKER, switch(InnerLayers::Fresh, InnerLayers::Kept));
    let settings = agent_env::read(reader);
    Some(AgentConfig {
        image: image?,
        pull: pull?,
        pull_patience: pull_patience?,
        docker_mode: docker_mode?,
        socket: socket?,
        dood: dood?,
        runtime: runtime?,
        limits: limits?,
        root: root?,
        network: network?.map_or(JobNetwork::Own, JobNetwork::Named),
        egress: egress?,
        model_gateway: model_gateway?,
        cache_volume: cache_volume?,
        cache_scope: cache_scope?,
        inner_layers: inner_layers?,
        settings: settings?,
    })
}

fn read_limits(reader: &mut Reader<'_>) -> Option<ContainerLimits> {
    let memory = reader.optional(&table::MEMORY, size);
    let swap = reader.value(&table::MEMORY_SWAP, size_or_none);
    let nano_cpus = reader.optional(&table::CPUS, nano_cpus);
    let pids = reader.value(&table::PIDS, parse::whole_number);
    let shm = reader.value(&table::SHM, size);
    let disk = reader.optional(&table::DISK, size);
    let nofile = reader.optional(&table::NOFILE, limits::count);
    Some(ContainerLimits {
        memory: memory?,
        swap: swap?,
        nano_cpus: nano_cpus?,
        pids: NonZeroU32::new(pids?),
        shm: shm?,
        disk: disk?,
        nofile: nofile?,
    })
}

fn read_egress(reader: &mut Reader<'_>) -> Option<Egress> {
    let policy = reader.value(&table::EGRESS, egress_policy);
    let allow = reader.optional(&table::EGRESS_ALLOW, hosts);
    let others =
        reader.value(&table::EGRESS_LEARN, switch(OtherHosts::Refused, OtherHosts::Learned));
    Some(Egress { policy: policy?, allow: allow?.unwrap_or_default(), others: others? })
}

/// A switch between two values.
fn switch<T: Copy>(off: T, on: T) -> impl Fn(&str) -> Result<T, Allowed> {
    move |text| match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(on),
        "0" | "false" | "no" | "off" => Ok(off),
        _ => Err("1 or 0 (true or false)".to_owned()),
    }
}

fn docker_mode(text: &str) -> Result<DockerMode, Allowed> {
    let text = text.to_ascii_lowercase();
    DockerMode::ALL
        .into_iter()
        .find(|mode| mode.name() == text)
        .ok_or_else(|| "dind, dind-caps, dind-rootless, dood or none".to_owned())
}

fn pull_policy(text: &str) -> Result<PullPolicy, Allowed> {
    match text.to_ascii_lowercase().as_str() {
        "always" => Ok(PullPolicy::Always),
        "if-missing" => Ok(PullPolicy::IfMissing),
        "never" => Ok(PullPolicy::Never),
        _ => Err("always, if-missing or never".to_owned()),
    }
}

fn egress_policy(text: &str) -> Result<EgressPolicy, Allowed> {
    let text = text.to_ascii_lowercase();
    [EgressPolicy::Open, EgressPolicy::AllowList, EgressPolicy::None]
        .into_iter()
        .find(|policy| policy.name() == text)
        .ok_or_else(|| "open, allowlist or none".to_owned())
}

fn model_gateway(text: &str) -> Result<ModelGateway, Allowed> {
    match text.to_ascii_lowercase().as_str() {
        "inside" => Ok(ModelGateway::Inside),
        "outside" => Ok(ModelGateway::Outside),
        _ => Err("inside or outside".to_owned()),
    }
}

fn cache_scope(text: &str) -> Result<CacheScope, Allowed> {
    match text.to_ascii_lowercase().as_str() {
        "project" => Ok(CacheScope::Project),
        "shared" => Ok(CacheScope::Shared),
        _ => Err("project or shared".to_owned()),
    }
}

/// Host names separated by commas, each with an optional port, or a leading dot for all below it, and
/// `=private` behind one that may have private addresses.
fn hosts(text: &str) -> Result<Vec<String>, Allowed> {
    let hosts = text.split(',').map(str::trim).filter(|host| !host.is_empty());
    hosts
        .map(|host| {
            let place = host.strip_suffix("=private").unwrap_or(host);
            let (name, port) = match place.rsplit_once(':') {
                Some((name, port)) if !name.contains(':') => (name, Some(port)),
                _ => (place, None),
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-:[]".contains(c);
            let good = name.chars().all(plain)
                && name.chars().any(|c| c.is_ascii_alphanumeric())
                && port.is_none_or(|port| port.parse::<u16>().is_ok());
            good.then(|| host.to_ascii_lowercase()).ok_or_else(|| {
                format!(
                    "host names separated by commas (name, name:port, .name, name=private); \
                     not one: {host}"
                )
            })
        })
        .collect()
}

/// A number of bytes, or a number with a unit of 1024, as the engine's own client takes it.
fn size_or_none(text: &str) -> Result<u64, Allowed> {
    const UNITS: [(char, u32); 5] = [('b', 0), ('k', 10), ('m', 20), ('g', 30), ('t', 40)];
    let lower = text.to_ascii_lowercase();
    let unit = |(name, shift): (char, u32)| Some((lower.strip_suffix(name)?.trim_end(), shift));
    let (number, shift) = UNITS.into_iter().find_map(unit).unwrap_or((&lower, 0));
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    // The engine counts in signed numbers.
    bytes
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| "a size in bytes, or a whole number with a unit: 512m, 4g".to_owned())
}

fn size(text: &str) -> Result<NonZeroU64, Allowed> {
    NonZeroU64::new(size_or_none(text)?).ok_or_else(|| "a size above 0: 512m, 4g".to_owned())
}

fn nano_cpus(text: &str) -> Result<NonZeroU64, Allowed> {
    /// More processors than any machine has.
    const MOST: f64 = 10_000.0;
    let cpus = parse::positive_number(text)?;
    let allowed = || format!("a number of processors from 0.01 to {MOST}");
    if !(0.01..=MOST).contains(&cpus) {
        return Err(allowed());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the bounds above hold it well within the type"
    )]
    let nano = (cpus * 1e9).round() as u64;
    NonZeroU64::new(nano).ok_or_else(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_in_every_unit_and_never_overflows() {
        for (text, bytes) in
            [("0", 0), ("512", 512), ("4k", 4 << 10), ("4G", 4 << 30), ("1 t", 1 << 40)]
        {
            assert_eq!(size_or_none(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "g", "-1", "1.5g", "4gb", "99999999999999999999", "9999999999t", "16777216t"]
        {
            assert!(size_or_none(text).is_err(), "{text}");
        }
        assert!(size("0").is_err());
    }

    #[test]
    fn processors_come_in_fractions() {
        assert_eq!(nano_cpus("1.5").unwrap().get(), 1_500_000_000);
        for text in ["0", "-1", "0.001", "1e9", "NaN", "two"] {
            assert!(nano_cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_are_names_with_or_without_a_port() {
        let read = hosts("API.example.com, .internal:8443=private,10.0.0.1").unwrap();
        assert_eq!(read, ["api.example.com", ".internal:8443=private", "10.0.0.1"]);
        for text in ["a=b", "https://a.example", "a b", "a:99999", ".", "*.example", "a/b"] {
            assert!(hosts(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_docker_modes_are_read_by_the_names_they_give_themselves() {
        for mode in DockerMode::ALL {
            assert_eq!(docker_mode(mode.name()), Ok(mode));
        }
        assert!(docker_mode("dind_caps").is_err());
    }
}
