//! Addresses for the networks of an inner engine.
//!
//! Left to itself an engine takes 172.17.0.0/16, where its own host's engine has the host for its
//! containers: the agent would lose an app, a forge or a model there as soon as the inner one starts.
//! So it is given addresses that no real network has: those for measurements (RFC 2544).

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Map, Value};

use super::names::NameServer;

/// First two numbers of the ranges to choose from. An agent within an inner engine finds its host in
/// one of them.
const RANGES: [[u8; 2]; 2] = [[198, 18], [198, 19]];

/// What names mean here; among them the host of this container.
const HOSTS: &str = "/etc/hosts";

/// The engine's own configuration, which may not repeat what arguments say.
const CONFIGURATION: &str = "/etc/docker/daemon.json";

/// What names are looked up with.
const RESOLVER: &str = "/etc/resolv.conf";

/// The engine's usual bridge. Where it is there before the engine, this is the network of the host, and
/// the bridge that of the host's engine, which would be given a new address.
const BRIDGE: &str = "/sys/class/net/docker0";

/// The addresses of an engine in this container.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// Its name server, where it needs one that we are.
    pub(super) names: Option<NameServer>,
}

impl Addresses {
    /// Chooses them.
    pub(super) fn choose() -> Self {
        if Path::new(BRIDGE).exists() {
            return Self::default();
        }
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        Self::chosen(&text(HOSTS), &text(CONFIGURATION), &text(RESOLVER))
    }

    /// Those of an engine whose network, with a name server on it, is in user space.
    pub(super) fn in_user_space() -> Self {
        let mut chosen = Self::choose();
        chosen.arguments.retain(|argument| !argument.starts_with("--dns="));
        Self { names: None, ..chosen }
    }

    fn chosen(hosts: &str, configuration: &str, resolver: &str) -> Self {
        let configured: Map<String, Value> =
            serde_json::from_str(configuration).unwrap_or_default();
        let [a, b] = range(hosts);
        let names = NameServer::needed(resolver, Ipv4Addr::new(a, b, 0, 1)).filter(|_| {
            !["bip", "dns", "bridge"].iter().any(|name| configured.contains_key(*name))
        });
        let mut arguments = ranges([a, b], &configured);
        arguments.extend(names.map(|server| format!("--dns={}", server.address())));
        Self { arguments, names }
    }
}

fn ranges([a, b]: [u8; 2], configured: &Map<String, Value>) -> Vec<String> {
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

    fn chosen(hosts: &str, configuration: &str) -> Addresses {
        Addresses::chosen(hosts, configuration, "nameserver 10.0.0.2\n")
    }

    #[test]
    fn a_name_server_that_only_we_can_ask_is_asked_by_us() {
        let chosen = |configuration| Addresses::chosen("", configuration, "nameserver 127.0.0.11");
        let Addresses { arguments, names } = chosen("");
        assert_eq!(arguments.last().unwrap(), "--dns=198.18.0.1");
        assert!(names.is_some());
        assert_eq!(chosen(r#"{"dns": ["10.0.0.2"]}"#).names, None);
    }

    #[test]
    fn an_inner_engine_never_takes_the_addresses_of_the_host() {
        let usual = chosen("172.17.0.1\thost.docker.internal\n", "").arguments;
        assert_eq!(
            usual,
            ["--bip=198.18.0.1/24", "--default-address-pool=base=198.18.0.0/16,size=24"]
        );
        let nested = chosen("::1 localhost\n198.18.0.1 host.docker.internal\n", "{}");
        assert_eq!(nested.arguments[0], "--bip=198.19.0.1/24");
    }

    #[test]
    fn what_the_image_says_of_addresses_is_left_to_it() {
        let chosen = chosen("", r#"{"bip": "10.9.0.1/24", "mtu": 1400}"#);
        assert_eq!(chosen.arguments, ["--default-address-pool=base=198.18.0.0/16,size=24"]);
    }
}
