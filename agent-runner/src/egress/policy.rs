//! What may leave: the allow-list and the decision about one target. Pure.

use std::str::FromStr;

use super::address::Reach;
use super::host::{Host, HostName, InvalidHost, Target, split_port};

/// The ports of an entry that names none.
const WEB: [u16; 2] = [80, 443];

/// What stands behind an entry whose name may have private addresses.
const PRIVATE: &str = "=private";

/// An entry of the allow-list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRule {
    /// A whole URL.
    #[error("{entry:?} must be a host, not a URL")]
    Url {
        /// The entry.
        entry: String,
    },
    /// A pattern that is not ours.
    #[error("{entry:?} must begin with a dot to stand for all hosts below it, as in .example.com")]
    Star {
        /// The entry.
        entry: String,
    },
    /// Something else.
    #[error("{entry:?} must be a host, host:port or .host")]
    Host {
        /// The entry.
        entry: String,
        /// What is wrong with it.
        #[source]
        source: InvalidHost,
    },
}

/// One entry: `host`, `host:port`, `.host` or `.host:port`, and `=private` behind it for a name that may
/// have private addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    hosts: Hosts,
    ports: Ports,
    reach: Reach,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    One(Host),
    Below(HostName),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ports {
    Web,
    One(u16),
}

/// Entries, separated by commas or spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules(Vec<Rule>);

/// What is done about a target that no rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// It is refused.
    Refused,
    /// It is let through, and listed.
    Learned,
}

/// What may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// What is allowed.
    pub(crate) allow: Rules,
    /// What is allowed wherever it is: the job's own hosts. Whoever owns such a name does not own this
    /// machine's metadata.
    pub(crate) trusted: Rules,
    /// What is done about the rest.
    pub(crate) others: Others,
}

/// The decision about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may be connected to, at addresses within this reach.
    Allowed(Reach),
    /// It is on no list, and may be connected to so that it is known: at any address but those of this
    /// machine, its link and a cloud's metadata.
    Learned,
    /// It may not.
    Refused,
}

impl Policy {
    /// Whether a connection may be made.
    pub(crate) fn decide(&self, target: &Target) -> Verdict {
        self.judge(|rule| rule.covers(target))
    }

    /// Whether a name may be looked up: it may where some port of it may be connected to.
    pub(crate) fn decide_name(&self, name: &HostName) -> Verdict {
        let host = Host::Name(name.clone());
        self.judge(|rule| rule.covers_host(&host))
    }

    fn judge(&self, covers: impl Fn(&Rule) -> bool) -> Verdict {
        let listed = self.allow.0.iter().filter(|rule| covers(rule)).map(|rule| rule.reach);
        let trusted = self.trusted.0.iter().filter(|rule| covers(rule));
        let trusted = trusted.map(|rule| rule.reach.max(Reach::Near));
        let listed = listed.chain(trusted).max();
        match (listed, self.others) {
            (Some(reach), _) => Verdict::Allowed(reach),
            (None, Others::Refused) => Verdict::Refused,
            (None, Others::Learned) => Verdict::Learned,
        }
    }
}

impl Verdict {
    /// How far a connection may go, if it may be made at all.
    pub(crate) fn reach(self) -> Option<Reach> {
        match self {
            Self::Allowed(reach) => Some(reach),
            Self::Learned => Some(Reach::Private),
            Self::Refused => None,
        }
    }
}

impl Rule {
    fn covers(&self, target: &Target) -> bool {
        let port = match self.ports {
            Ports::Web => WEB.contains(&target.port),
            Ports::One(port) => port == target.port,
        };
        port && self.covers_host(&target.host)
    }

    fn covers_host(&self, host: &Host) -> bool {
        match (&self.hosts, host) {
            (Hosts::One(listed), host) => listed == host,
            (Hosts::Below(parent), Host::Name(name)) => name.is_below(parent),
            (Hosts::Below(_), Host::Address(_)) => false,
        }
    }
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(entry: &str) -> Result<Self, InvalidRule> {
        let owned = || entry.to_owned();
        if entry.contains('/') {
            return Err(InvalidRule::Url { entry: owned() });
        }
        if entry.contains('*') {
            return Err(InvalidRule::Star { entry: owned() });
        }
        let invalid = |source| InvalidRule::Host { entry: owned(), source };
        let (place, private) = match entry.strip_suffix(PRIVATE) {
            Some(place) => (place, Reach::Private),
            None => (entry, Reach::Public),
        };
        let (host, port) = split_port(place).map_err(invalid)?;
        let hosts = match host.strip_prefix('.') {
            Some(parent) => Hosts::Below(parent.parse().map_err(invalid)?),
            None => Hosts::One(host.parse().map_err(invalid)?),
        };
        // An address that is listed is the operator's word; a name's addresses are those of whoever
        // owns the name.
        let reach = match &hosts {
            Hosts::One(Host::Address(_)) => Reach::Anywhere,
            Hosts::One(Host::Name(_)) | Hosts::Below(_) => private,
        };
        Ok(Self { hosts, ports: port.map_or(Ports::Web, Ports::One), reach })
    }
}

impl FromStr for Rules {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let entries = text.split([',', ' ', '\n', '\t']).filter(|entry| !entry.is_empty());
        entries.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(allow: &str, trusted: &str, others: Others) -> Policy {
        Policy { allow: allow.parse().unwrap(), trusted: trusted.parse().unwrap(), others }
    }

    fn strict(allow: &str) -> Policy {
        policy(allow, "", Others::Refused)
    }

    fn target(text: &str) -> Target {
        Target::parse(text, None).unwrap()
    }

    const PUBLIC: Verdict = Verdict::Allowed(Reach::Public);
    const ANYWHERE: Verdict = Verdict::Allowed(Reach::Anywhere);

    #[test]
    fn a_host_without_a_port_is_allowed_on_the_ports_of_the_web() {
        let policy = strict("pypi.org, A.Example.:8443");
        for text in ["pypi.org:443", "PyPI.org.:80", "a.example:8443"] {
            assert_eq!(policy.decide(&target(text)), PUBLIC, "{text}");
        }
        for text in ["pypi.org:22", "a.example:443", "x.pypi.org:443", "pypi.org.evil.example:443"]
        {
            assert_eq!(policy.decide(&target(text)), Verdict::Refused, "{text}");
        }
    }

    #[test]
    fn a_leading_dot_stands_for_all_below_and_not_for_the_host_itself() {
        let policy = strict(".example.com .git.example:8443");
        for text in ["a.example.com:443", "a.b.example.com:80", "x.git.example:8443"] {
            assert_eq!(policy.decide(&target(text)), PUBLIC, "{text}");
        }
        for text in ["example.com:443", "badexample.com:443", "x.git.example:443"] {
            assert_eq!(policy.decide(&target(text)), Verdict::Refused, "{text}");
        }
    }

    #[test]
    fn an_address_is_allowed_where_it_is_listed_itself_in_whatever_spelling() {
        let policy = strict("10.0.0.5:8080,[2001:db8::1],.example");
        for text in ["10.0.0.5:8080", "0x0a000005:8080", "[2001:DB8::1]:443"] {
            assert_eq!(policy.decide(&target(text)), ANYWHERE, "{text}");
        }
        for text in ["10.0.0.6:8080", "10.0.0.5:80", "[2001:db8::2]:443", "169.254.169.254:80"] {
            assert_eq!(policy.decide(&target(text)), Verdict::Refused, "{text}");
        }
    }

    #[test]
    fn names_in_other_scripts_are_compared_in_their_ascii_form() {
        let policy = strict("bücher.example");
        assert_eq!(policy.decide(&target("xn--bcher-kva.example:443")), PUBLIC);
        assert_eq!(policy.decide(&target("BÜCHER.example:443")), PUBLIC);
    }

    #[test]
    fn only_the_jobs_own_hosts_may_be_anywhere() {
        let policy = policy("app.internal:5010,pypi.org", "app.internal:5010", Others::Refused);
        assert_eq!(policy.decide(&target("app.internal:5010")), Verdict::Allowed(Reach::Near));
        assert_eq!(policy.decide(&target("app.internal:22")), Verdict::Refused);
        assert_eq!(policy.decide(&target("pypi.org:443")), PUBLIC);
    }

    #[test]
    fn a_name_may_have_private_addresses_where_its_entry_says_so() {
        let policy = strict("npm.internal:8443=private,.corp.example=private,pypi.org");
        let private = Verdict::Allowed(Reach::Private);
        assert_eq!(policy.decide(&target("npm.internal:8443")), private);
        assert_eq!(policy.decide(&target("a.corp.example:443")), private);
        assert_eq!(policy.decide(&target("npm.internal:443")), Verdict::Refused);
        assert_eq!(policy.decide(&target("pypi.org:443")), PUBLIC);
    }

    #[test]
    fn learning_lets_all_through_except_this_machine_and_its_metadata() {
        let policy = policy("pypi.org", "", Others::Learned);
        assert_eq!(policy.decide(&target("pypi.org:443")), PUBLIC);
        for text in ["evil.example:25", "10.0.0.1:80", "169.254.169.254:80"] {
            assert_eq!(policy.decide(&target(text)), Verdict::Learned, "{text}");
        }
        let reach = Verdict::Learned.reach().unwrap();
        assert!(reach.admits([10, 0, 0, 1].into()));
        assert!(!reach.admits([169, 254, 169, 254].into()));
    }

    #[test]
    fn a_name_may_be_looked_up_where_any_port_of_it_is_allowed() {
        let policy = strict("a.example:8443");
        assert_eq!(policy.decide_name(&"A.example".parse().unwrap()), PUBLIC);
        assert_eq!(policy.decide_name(&"b.example".parse().unwrap()), Verdict::Refused);
    }

    #[test]
    fn an_entry_that_cannot_be_used_is_named() {
        for (entry, part) in [
            ("https://a.example", "not a URL"),
            ("*.example.com", "as in .example.com"),
            ("a.example:0", "a.example:0"),
            (".", "\".\""),
            ("a b..c", "b..c"),
            (".10.0.0.1", ".10.0.0.1"),
            ("a.example=public", "a.example=public"),
        ] {
            let error = entry.parse::<Rules>().unwrap_err().to_string();
            assert!(error.contains(part), "{entry}: {error}");
        }
    }

    fn name() -> impl Strategy<Value = String> {
        "[a-z][a-z0-9]{0,5}(\\.[a-z][a-z0-9]{0,5}){0,3}"
    }

    proptest! {
        #[test]
        fn nothing_is_allowed_that_no_entry_names(
            entries in prop::collection::vec((prop::option::of(Just('.')), name()), 0..6),
            asked in name(),
            port in 1_u16..,
        ) {
            let list: Vec<String> = entries
                .iter()
                .map(|(dot, name)| format!("{}{name}", dot.map_or("", |_| ".")))
                .collect();
            let named = entries.iter().any(|(dot, name)| match dot {
                None => asked == *name,
                Some(_) => asked.len() > name.len() && asked.ends_with(&format!(".{name}")),
            });
            let target = Target { host: asked.parse().unwrap(), port };
            let expected = if named && WEB.contains(&port) { PUBLIC } else { Verdict::Refused };
            prop_assert_eq!(strict(&list.join(",")).decide(&target), expected);
        }

        #[test]
        fn no_entry_that_is_a_name_allows_an_address(list in name(), bits: u32, port in 1_u16..) {
            let target = Target { host: Host::Address(std::net::Ipv4Addr::from(bits).into()), port };
            let policy = strict(&format!("{list},.{list}"));
            prop_assert_eq!(policy.decide(&target), Verdict::Refused);
        }

        #[test]
        fn no_list_makes_it_panic(list in "\\PC{0,60}") {
            let _judged = list.parse::<Rules>();
        }
    }
}
