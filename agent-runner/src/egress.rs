//! The filter between a job's network and everything else: an HTTP proxy and a name server that know an
//! allow-list of hosts.
//!
//! The job's network has no other way out. What the filter refuses is told in the job's log, with what
//! it was; or, while a list is being learned, nothing is refused and what was needed is told instead.

mod address;
mod dns;
mod filter;
mod forward;
mod host;
mod idle;
mod journal;
mod policy;
mod proxy;
mod tasks;
mod upstream;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use api_client::contract::gateway_port;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

pub(crate) use self::policy::{InvalidRule, Others, Policy, Rules};
pub(crate) use self::upstream::Upstream;

use self::dns::Names;
use self::filter::Filter;
use self::proxy::Proxy;
use self::tasks::Tasks;

/// The filter cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the egress filter cannot listen on {address} ({what})")]
pub(crate) struct EgressError {
    what: &'static str,
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// Where a filter listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// The HTTP proxy.
    pub(crate) proxy: SocketAddr,
    /// The name server, by UDP and TCP.
    pub(crate) names: SocketAddr,
}

/// A filter that listens. It ends with its token or with [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub(crate) struct EgressFilter {
    filter: Arc<Filter>,
    tasks: Tasks,
    #[cfg(test)]
    places: Places,
}

impl Places {
    /// Those of a gateway, on all its addresses.
    pub(crate) const GATEWAY: Self = Self {
        proxy: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), gateway_port::PROXY),
        names: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), gateway_port::NAMES),
    };
}

impl EgressFilter {
    /// Listens until `cancel` is cancelled.
    ///
    /// # Errors
    /// When an address is not to be had.
    pub(crate) async fn listen(
        places: Places,
        policy: Policy,
        upstream: Upstream,
        cancel: &CancellationToken,
    ) -> Result<Self, EgressError> {
        let failed = |what, address| move |source| EgressError { what, address, source };
        let Places { proxy, names } = places;
        let http = TcpListener::bind(proxy).await.map_err(failed("HTTP proxy", proxy))?;
        let tcp = TcpListener::bind(names).await.map_err(failed("names by TCP", names))?;
        // Port 0 picks a free one, which is then the same for both.
        let names = tcp.local_addr().map_err(failed("names by TCP", names))?;
        let udp = UdpSocket::bind(names).await.map_err(failed("names by UDP", names))?;
        #[cfg(test)]
        let places =
            Places { proxy: http.local_addr().map_err(failed("HTTP proxy", proxy))?, names };
        let filter = Arc::new(Filter::new(policy, upstream));
        let tasks = Tasks::until(cancel.child_token());
        let server = Names::new(Arc::clone(&filter), tasks.clone());
        tasks.own(server.clone().serve_udp(udp));
        tasks.own(server.serve_tcp(tcp));
        tasks.own(Proxy::new(Arc::clone(&filter), tasks.clone()).serve(http));
        Ok(Self {
            filter,
            tasks,
            #[cfg(test)]
            places,
        })
    }

    /// Ends every connection, and tells the job's log what is left to tell.
    pub(crate) async fn shutdown(self) {
        self.tasks.end().await;
        self.filter.close();
    }
}

#[cfg(test)]
mod tests;
