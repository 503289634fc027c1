//! How the settings of an agent's container are written.

use std::net::Ipv6Addr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};

use super::{
    AgentConfig, AgentLog, AgentLogFormat, CacheScope, ContainerLimits, DockerMode, DoodUse,
    Egress, EgressPolicy, ImageChoice, InnerLayers, JobNetwork, ModelGateway, OtherHosts,
    PullPolicy, RootFolder, SocketMount,
};
use crate::config::network::read_agent_proxies;
use crate::config::parse::{self, Allowed};
use crate::config::read::Reader;
use crate::config::setting::container as table;
use crate::config::{agent_env, limits};

/// Every setting is read before the first `?`, so that all mistakes are found.
pub(in crate::config) fn read_agent(reader: &mut Reader<'_>) -> Option<AgentConfig> {
    let image = read_image(reader);
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
    let proxies = read_agent_proxies(reader);
    let log = read_agent_log(reader);
    let settings = agent_env::read(reader).zip(proxies.as_ref()).map(|(mut settings, proxies)| {
        proxies.replace_in(&mut settings);
        settings
    });
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
        proxies: proxies?,
        log: log?,
        settings: settings?,
    })
}

/// The image, and whether it was given.
pub(in crate::config) fn read_image(reader: &mut Reader<'_>) -> Option<ImageChoice> {
    match reader.optional(&table::IMAGE, parse::image) {
        Some(None) => reader.value(&table::IMAGE, parse::image).map(ImageChoice::Default),
        given => given.flatten().map(ImageChoice::Explicit),
    }
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

fn read_agent_log(reader: &mut Reader<'_>) -> Option<AgentLog> {
    let filter = reader.optional(&table::LOG_LEVEL, parse::log_filter);
    let format = reader.optional(&table::LOG_FORMAT, |text| match text {
        "pretty" => Ok(AgentLogFormat::Pretty),
        "json" => Ok(AgentLogFormat::Json),
        _ => Err("pretty or json".to_owned()),
    });
    Some(AgentLog { filter: filter?, format: format? })
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
                Some((name, port))
                    if place.parse::<Ipv6Addr>().is_err() && !port.ends_with(']') =>
                {
                    (name, Some(port))
                }
                _ => (place, None),
            };
            let good = is_host(name.strip_prefix('.').unwrap_or(name))
                && port.is_none_or(|port| port.parse::<NonZeroU16>().is_ok());
            good.then(|| host.to_ascii_lowercase()).ok_or_else(|| {
                format!(
                    "host names separated by commas (name, name:port, .name, name=private); \
                     not one: {host}"
                )
            })
        })
        .collect()
}

/// Whether the gateway takes it for a host: a name of the DNS, or an address.
fn is_host(text: &str) -> bool {
    const NAME_MAX: usize = 253;
    const LABEL_MAX: usize = 63;
    if text.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let is_label = |label: &str| (1..=LABEL_MAX).contains(&label.len()) && label.chars().all(plain);
    // Names in ASCII alone, and without the escapes that the parser would undo.
    if !text.is_ascii() || text.contains('%') {
        return false;
    }
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(&name);
            name.len() <= NAME_MAX && name.split('.').all(is_label)
        }
        Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => true,
        Err(_) => false,
    }
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
        let long = format!("{}.example", "a".repeat(64));
        for text in [
            "a=b",
            "https://a.example",
            "a b",
            "a:99999",
            "a:0",
            ".",
            "*.example",
            "a/b",
            "a..b",
            "[::1",
            "a%2eb",
            "b\u{fc}cher.example",
            &long,
        ] {
            assert!(hosts(text).is_err(), "{text}");
        }
        assert_eq!(hosts("[::1]:443, fe80::1").unwrap(), ["[::1]:443", "fe80::1"]);
    }

    #[test]
    fn the_docker_modes_are_read_by_the_names_they_give_themselves() {
        for mode in DockerMode::ALL {
            assert_eq!(docker_mode(mode.name()), Ok(mode));
        }
        assert!(docker_mode("dind_caps").is_err());
    }
}
