//! Addresses for the networks of an inner engine.
//!
//! Left to itself an engine takes 172.17.0.0/16, where its own host's engine has the host for its
//! containers: the agent would lose an app, a forge or a model there as soon as the inner one starts.
//! So it is given addresses that no real network has: those for measurements (RFC 2544).

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Map, Value};

/// First two numbers of the ranges to choose from. An agent within an inner engine finds its host in
/// one of them.
const RANGES: [[u8; 2]; 2] = [[198, 18], [198, 19]];

/// What names mean here; among them the host of this container.
const HOSTS: &str = "/etc/hosts";

/// The engine's own configuration, which may not repeat what arguments say.
const CONFIGURATION: &str = "/etc/docker/daemon.json";

/// The engine's usual bridge. Where it is there before the engine, this is the network of the host, and
/// the bridge that of the host's engine, which would be given a new address.
const BRIDGE: &str = "/sys/class/net/docker0";

/// Arguments of an engine in this container.
pub(super) fn arguments() -> Vec<String> {
    if Path::new(BRIDGE).exists() {
        return Vec::new();
    }
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    chosen(&text(HOSTS), &text(CONFIGURATION))
}

fn chosen(hosts: &str, configuration: &str) -> Vec<String> {
    let [a, b] = range(hosts);
    let configured: Map<String, Value> = serde_json::from_str(configuration).unwrap_or_default();
    let arguments = [
        ("bip", format!("--bip={a}.{b}.0.1/24")),
        ("default-address-pools", format!("--default-address-pool=base={a}.{b}.0.0/16,size=24")),
    ];
    let free = arguments.into_iter().filter(|(name, _)| !configured.contains_key(*name));
    free.map(|(_, argument)| argument).collect()
}

/// A range in which nothing is that has a name here.
fn range(hosts: &str) -> [u8; 2] {
    let first = |line: &str| line.split_whitespace().next()?.parse::<Ipv4Addr>().ok();
    let taken: Vec<[u8; 4]> = hosts.lines().filter_map(first).map(|ip| ip.octets()).collect();
    let is_free = |range: &&[u8; 2]| !taken.iter().any(|ip| ip.starts_with(*range));
    *RANGES.iter().find(is_free).unwrap_or(&RANGES[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_engine_never_takes_the_addresses_of_the_host() {
        let usual = chosen("172.17.0.1\thost.docker.internal\n", "");
        assert_eq!(
            usual,
            ["--bip=198.18.0.1/24", "--default-address-pool=base=198.18.0.0/16,size=24"]
        );
        let nested = chosen("::1 localhost\n198.18.0.1 host.docker.internal\n", "{}");
        assert_eq!(nested[0], "--bip=198.19.0.1/24");
    }

    #[test]
    fn what_the_image_says_of_addresses_is_left_to_it() {
        let arguments = chosen("", r#"{"bip": "10.9.0.1/24", "mtu": 1400}"#);
        assert_eq!(arguments, ["--default-address-pool=base=198.18.0.0/16,size=24"]);
    }
}
