//! The decision about a target with all that it takes: the policy, its addresses, the job's log.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use api_client::error_chain;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::address::Reach;
use super::host::{Host, HostName, Target};
use super::idle::IdleLimited;
use super::journal::Journal;
use super::policy::{Policy, Verdict};
use super::upstream::{Hop, Upstream, UpstreamError, Way};

/// How long a name may take to be looked up.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);
/// The same for a name that the proxy before this one looks up.
const KNOWN_LIMIT: Duration = Duration::from_secs(2);
/// How many names are looked up at once: each takes a thread.
const LOOKUPS_MAX: usize = 16;
/// How long one address may take to be connected to.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How many addresses of a host are tried.
const ADDRESSES_MAX: usize = 4;

/// A connection was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denial {
    /// No rule names the target.
    #[error("not allowed by AGENT_EGRESS")]
    NotListed,
    /// The name stands for addresses that its rule does not allow.
    #[error("its address {address} is not a public one")]
    NotPublic {
        /// One of them.
        address: IpAddr,
    },
    /// The proxy before this one makes no connection.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The name has no address.
    #[error("its address cannot be found")]
    Lookup(#[source] io::Error),
    /// The address cannot be reached.
    #[error("it cannot be reached at {address}")]
    Connect {
        /// The last one that was tried.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Denial {
    /// Whether it was the policy that said no.
    pub(crate) fn is_policy(&self) -> bool {
        match self {
            Self::NotListed | Self::NotPublic { .. } => true,
            Self::Upstream(_) | Self::Lookup(_) | Self::Connect { .. } => false,
        }
    }

    /// Whether the job's log is told: of the policy, and of a proxy that wants something else from us.
    fn is_told(&self) -> bool {
        self.is_policy() || matches!(self, Self::Upstream(_))
    }
}

/// What the proxy and the name server ask.
#[derive(Debug)]
pub(crate) struct Filter {
    policy: Policy,
    upstream: Upstream,
    journal: Journal,
    lookups: Semaphore,
}

/// A connection on the way to a target.
#[derive(Debug)]
pub(super) struct Connected {
    /// The connection.
    pub(super) stream: IdleLimited<TcpStream>,
    /// The proxy that it ends at, where a plain request goes through one.
    pub(super) hop: Option<Hop>,
}

impl Filter {
    /// A filter by this policy, which goes out by this way.
    pub(crate) fn new(policy: Policy, upstream: Upstream) -> Self {
        Self { policy, upstream, journal: Journal::new(), lookups: Semaphore::new(LOOKUPS_MAX) }
    }

    /// Connects to a target, if it is allowed, at an address that was looked at, or by way of the proxy
    /// before this one.
    pub(super) async fn connect(&self, way: Way, target: &Target) -> Result<Connected, Denial> {
        let connected = self.checked(way, target).await;
        if let Err(denial) = &connected
            && denial.is_told()
        {
            self.refused(&format!("{} {target}", way.word()), &error_chain(denial));
        }
        connected
    }

    /// The addresses of a name, if it may be looked up. `what` is the question for the job's log.
    pub(crate) async fn resolve(&self, what: &str, name: &HostName) -> Result<Vec<IpAddr>, Denial> {
        let found = match self.policy.decide_name(name).reach() {
            Some(reach) => self.addresses(&Host::Name(name.clone()), reach).await,
            None => Err(Denial::NotListed),
        };
        if let Err(denial) = &found
            && denial.is_policy()
        {
            self.refused(what, denial);
        }
        found
    }

    /// Tells the job's log of a refusal.
    pub(crate) fn refused(&self, what: &str, why: &dyn fmt::Display) {
        self.journal.refused(what, why);
    }

    /// The last lines of the job's log.
    pub(crate) fn close(&self) {
        self.journal.close();
    }

    async fn checked(&self, way: Way, target: &Target) -> Result<Connected, Denial> {
        let verdict = self.policy.decide(target);
        let reach = verdict.reach().ok_or(Denial::NotListed)?;
        let hop = self.upstream.hop(way, target);
        let addresses = match &hop {
            None => self.addresses(&target.host, reach).await?,
            Some(_) => {
                self.known_addresses(&target.host, reach).await?;
                Vec::new()
            }
        };
        if verdict == Verdict::Learned {
            self.journal.learned(target);
        }
        let (stream, hop) = match (hop, way) {
            (None, _) => (connect_any(&addresses, target.port).await?, None),
            (Some(hop), Way::Connect) => (IdleLimited::new(hop.tunnel(target).await?), None),
            (Some(hop), Way::Http) => (IdleLimited::new(hop.connect().await?), Some(hop)),
        };
        Ok(Connected { stream, hop })
    }

    /// Looks at the addresses of a host that the proxy before this one is asked for. A name that is not
    /// known here may be known there.
    async fn known_addresses(&self, host: &Host, reach: Reach) -> Result<(), Denial> {
        let addresses = timeout(KNOWN_LIMIT, self.addresses(host, reach));
        match addresses.await {
            Ok(Err(denial)) if denial.is_policy() => Err(denial),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The addresses of a host that are within reach. Nothing is asked for a host that is not allowed.
    async fn addresses(&self, host: &Host, reach: Reach) -> Result<Vec<IpAddr>, Denial> {
        let all = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.look_up(name).await.map_err(Denial::Lookup)?,
        };
        let Some(&first) = all.first() else {
            return Err(Denial::Lookup(io::Error::other("it has none")));
        };
        let within: Vec<IpAddr> = all.into_iter().filter(|&one| reach.admits(one)).collect();
        if within.is_empty() { Err(Denial::NotPublic { address: first }) } else { Ok(within) }
    }

    async fn look_up(&self, name: &HostName) -> io::Result<Vec<IpAddr>> {
        let look_up = async {
            let _place = self.lookups.acquire().await.map_err(io::Error::other)?;
            lookup_host((name.as_str(), 0)).await.map(Iterator::collect::<Vec<_>>)
        };
        let found = timeout(LOOKUP_LIMIT, look_up).await.map_err(|_| late(LOOKUP_LIMIT))??;
        let mut addresses: Vec<IpAddr> =
            found.into_iter().map(|address| address.ip().to_canonical()).collect();
        addresses.dedup();
        Ok(addresses)
    }
}

async fn connect_any(addresses: &[IpAddr], port: u16) -> Result<IdleLimited<TcpStream>, Denial> {
    let mut failed = Denial::Lookup(io::Error::other("it has none"));
    for address in addresses.iter().take(ADDRESSES_MAX) {
        let address = SocketAddr::new(*address, port);
        let connected = timeout(CONNECT_LIMIT, TcpStream::connect(address)).await;
        match connected.unwrap_or_else(|_| Err(late(CONNECT_LIMIT))) {
            Ok(stream) => return Ok(IdleLimited::new(stream)),
            Err(source) => failed = Denial::Connect { address, source },
        }
    }
    Err(failed)
}

fn late(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()))
}
