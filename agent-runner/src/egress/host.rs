//! Hosts and ports as they are asked for, in the one form in which they are compared and connected to.
//!
//! Invariant: a [`HostName`] is ASCII, in lower case, without a dot at its end, and no spelling of an IP
//! address; an address is an IPv4 one wherever it can be written as one.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Longest name of a host, in characters.
const NAME_MAX: usize = 253;
/// Longest part of a name between two dots.
const LABEL_MAX: usize = 63;

/// A text is no host, or no host and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidHost {
    /// Neither a name nor an address.
    #[error("not the name or address of a host")]
    Host,
    /// The part behind the colon.
    #[error("not a port from 1 to 65535")]
    Port,
}

/// The name of a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HostName(String);

/// A host by its name or its address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Host {
    /// A name that must be looked up.
    Name(HostName),
    /// An address.
    Address(IpAddr),
}

/// Where a connection is to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Target {
    /// The host.
    pub(crate) host: Host,
    /// Its port.
    pub(crate) port: u16,
}

impl HostName {
    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is below `parent`, at whatever depth; no name is below itself.
    pub(crate) fn is_below(&self, parent: &Self) -> bool {
        self.0.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl FromStr for HostName {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        match text.parse()? {
            Host::Name(name) => Ok(name),
            Host::Address(_) => Err(InvalidHost::Host),
        }
    }
}

impl FromStr for Host {
    type Err = InvalidHost;

    /// Takes what browsers take: letters of any script (compared in their ASCII form), any case, one dot
    /// at the end, and every spelling of an IPv4 address. IPv6 addresses may stand in brackets.
    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        // A host has no percent encoding here; the parser of URLs would undo it.
        if text.contains('%') {
            return Err(InvalidHost::Host);
        }
        match url::Host::parse(text).map_err(|_| InvalidHost::Host)? {
            url::Host::Ipv4(address) => Ok(Self::Address(address.into())),
            url::Host::Ipv6(address) => Ok(Self::Address(IpAddr::V6(address).to_canonical())),
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                let valid = name.len() <= NAME_MAX && name.split('.').all(is_label);
                valid.then(|| Self::Name(HostName(name.to_owned()))).ok_or(InvalidHost::Host)
            }
        }
    }
}

impl Target {
    /// Reads `host:port`, or `host` where there is a port to assume.
    ///
    /// # Errors
    /// When the text is something else, such as one with a user's name in it.
    pub(crate) fn parse(text: &str, assumed: Option<u16>) -> Result<Self, InvalidHost> {
        let (host, port) = split_port(text)?;
        Ok(Self { host: host.parse()?, port: port.or(assumed).ok_or(InvalidHost::Port)? })
    }
}

/// Separates a port from its host. An IPv6 address without brackets has none.
pub(super) fn split_port(text: &str) -> Result<(&str, Option<u16>), InvalidHost> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| digits && *port > 0);
            Ok((host, Some(port.ok_or(InvalidHost::Port)?)))
        }
        _ => Ok((text, None)),
    }
}

fn is_label(label: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(plain)
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Host>().map_or_else(|error| error.to_string(), |host| host.to_string())
    }

    #[test]
    fn a_name_has_one_form_whatever_its_case_script_and_last_dot() {
        assert_eq!(shown("Example.COM."), "example.com");
        assert_eq!(shown("bücher.example"), "xn--bcher-kva.example");
        assert_eq!(shown("BÜCHER.example"), shown("xn--bcher-kva.example"));
        assert_eq!(shown("ｅxample。com"), "example.com");
        assert_eq!(shown("_dmarc.example"), "_dmarc.example");
    }

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        for text in ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.1."] {
            assert_eq!(shown(text), "127.0.0.1", "{text}");
        }
        for text in ["::ffff:169.254.169.254", "[::ffff:a9fe:a9fe]"] {
            assert_eq!(shown(text), "169.254.169.254", "{text}");
        }
        assert_eq!(shown("2001:DB8::1"), "[2001:db8::1]");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = format!("{}.example", "a".repeat(64));
        for text in
            ["", ".", "a..b", ".a", "a b", "a%2eb", "a/b", "u@a", "a\0", "1.2.3.4.5", "[::1", &long]
        {
            assert!(text.parse::<Host>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_target_has_a_port_of_its_own_or_an_assumed_one() {
        let parse = |text, port| Target::parse(text, port).map(|target| target.to_string());
        assert_eq!(parse("a.example:8443", None).unwrap(), "a.example:8443");
        assert_eq!(parse("a.example", Some(80)).unwrap(), "a.example:80");
        assert_eq!(parse("[::1]:443", None).unwrap(), "[::1]:443");
        assert_eq!(parse("::1", Some(443)).unwrap(), "[::1]:443");
        for text in ["a.example", "a:", "a:0", "a:+1", "a:65536", "u:p@a:1"] {
            assert!(Target::parse(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_is_below_its_parents_alone() {
        let name = |text: &str| text.parse::<HostName>().unwrap();
        assert!(name("a.b.example").is_below(&name("example")));
        for other in ["a.b.example", "b", "xample", "c.example", "a.b.example.com"] {
            assert!(!name("a.b.example").is_below(&name(other)), "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_read_again_as_itself(text in "\\PC{0,40}") {
            if let Ok(host) = text.parse::<Host>() {
                prop_assert_eq!(host.to_string().parse::<Host>(), Ok(host.clone()));
                prop_assert!(host.to_string().is_ascii());
            }
        }
    }
}
