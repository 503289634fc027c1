//! Which addresses are everybody's, which are somebody's own network, and which are neither.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far a connection may go; a later one goes further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// To public addresses.
    Public,
    /// To public addresses, and to those of private networks.
    Private,
    /// To this machine and its link as well: engines give their host such an address.
    Near,
    /// To any address.
    Anywhere,
}

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Public,
    Private,
    /// This machine, or its link.
    Near,
    /// A cloud's metadata, several hosts at once, or a way to another address.
    Special,
}

/// Where clouds keep what their machines may know: for machines, containers and pods.
const METADATA: [IpAddr; 8] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 0, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

impl Reach {
    /// Whether it goes as far as this address.
    pub(crate) fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Public => scope(address) == Scope::Public,
            Self::Private => matches!(scope(address), Scope::Public | Scope::Private),
            Self::Near => scope(address) != Scope::Special,
            Self::Anywhere => true,
        }
    }
}

/// By the registries of special-purpose addresses (RFC 6890). The ranges for documentation count as
/// public: nobody's network is there, and tests need addresses.
fn scope(address: IpAddr) -> Scope {
    let address = address.to_canonical();
    if METADATA.contains(&address) {
        return Scope::Special;
    }
    match address {
        IpAddr::V4(address) => scope_v4(address),
        IpAddr::V6(address) => scope_v6(address),
    }
}

fn scope_v4(address: Ipv4Addr) -> Scope {
    let special = matches!(
        address.octets(),
        [0, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [224..=255, ..]
    );
    let shared = matches!(address.octets(), [100, 64..=127, ..]);
    if address.is_loopback() || address.is_link_local() {
        Scope::Near
    } else if special {
        Scope::Special
    } else if shared || address.is_private() {
        Scope::Private
    } else {
        Scope::Public
    }
}

/// Addresses that stand for an IPv4 address elsewhere (NAT64, Teredo, 6to4) are special: they would be
/// a way round what holds for that one.
fn scope_v6(address: Ipv6Addr) -> Scope {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] | [0xfe80..=0xfebf, ..] => Scope::Near,
        [0xfc00..=0xfdff, ..] => Scope::Private,
        [0x2001, 0..=0x1ff, ..] | [0x2002, ..] => Scope::Special,
        [0x2000..=0x3fff, ..] => Scope::Public,
        _ => Scope::Special,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Reach; 4] = [Reach::Public, Reach::Private, Reach::Near, Reach::Anywhere];

    fn reaches(text: &str) -> [bool; 4] {
        let address = text.parse().unwrap();
        ALL.map(|reach| reach.admits(address))
    }

    #[test]
    fn public_addresses_are_in_every_reach() {
        for text in ["1.1.1.1", "203.0.113.80", "172.32.0.1", "100.128.0.1", "2606:4700::1111"] {
            assert_eq!(reaches(text), [true; 4], "{text}");
        }
    }

    #[test]
    fn private_networks_are_not_public() {
        for text in [
            "10.0.0.1",
            "172.17.0.1",
            "172.31.9.9",
            "192.168.1.1",
            "100.64.0.1",
            "fd12::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(reaches(text), [false, true, true, true], "{text}");
        }
    }

    #[test]
    fn this_machine_and_its_link_are_in_no_general_reach() {
        for text in ["127.0.0.1", "169.254.1.2", "::1", "fe80::1", "::ffff:127.0.0.1"] {
            assert_eq!(reaches(text), [false, false, true, true], "{text}");
        }
    }

    #[test]
    fn metadata_and_ways_to_other_addresses_are_in_no_reach_of_a_name() {
        for text in [
            "0.0.0.0",
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "::",
            "ff02::1",
            "fd00:ec2::23",
            "fd00:ec2::254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:1::1",
            "::127.0.0.1",
            "::ffff:169.254.169.254",
        ] {
            assert_eq!(reaches(text), [false, false, false, true], "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_wider_reach_never_admits_less(bits: u128, short: u32) {
            for address in [IpAddr::V6(bits.into()), IpAddr::V4(short.into())] {
                let admitted = ALL.map(|reach| reach.admits(address));
                prop_assert!(admitted.is_sorted() && admitted[3]);
            }
        }

        #[test]
        fn an_ipv4_address_is_judged_alike_in_its_ipv6_form(short: u32) {
            let v4 = Ipv4Addr::from(short);
            let mapped = IpAddr::V6(v4.to_ipv6_mapped());
            for reach in ALL {
                prop_assert_eq!(reach.admits(v4.into()), reach.admits(mapped));
            }
        }
    }
}
