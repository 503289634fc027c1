//! One HTTP server as an owned value: the forge and the scripted model both
//! run in one, and so may any stand-in a test needs.
//!
//! Invariant: the serving task ends in [`OwnedServer::shutdown`]; dropping the
//! value without it only asks the task to stop, and says so in the log.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

/// How long requests in flight may take to notice a shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// Why a server could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is in use, not ours, or needs privileges.
    #[error("cannot listen on {address}; choose another with --listen")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The accept loop failed.
    #[error("the server on {address} stopped by itself")]
    Serve {
        /// Where it listened.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The serving task panicked.
    #[error("the server on {address} panicked")]
    Panicked {
        /// Where it listened.
        address: SocketAddr,
        /// The panic.
        #[source]
        source: tokio::task::JoinError,
    },
    /// Requests were still running after the grace period; they were dropped.
    #[error("the server on {address} still had requests running {}s after it was told to stop", SHUTDOWN_GRACE.as_secs())]
    StillBusy {
        /// Where it listened.
        address: SocketAddr,
    },
    /// The file that tells others the port could not be written.
    #[error("cannot write the port to {path}")]
    PortFile {
        /// The file asked for.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A bound listener, not yet answering: its address can go into the router.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds `listen`; port 0 picks a free one.
    pub async fn new(listen: SocketAddr) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Bind { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers with `router` until `cancel` is triggered. `name` is for the log.
    pub fn serve(
        self,
        name: &'static str,
        router: Router,
        cancel: CancellationToken,
    ) -> OwnedServer {
        let stop = cancel.clone().cancelled_owned();
        let serving = axum::serve(self.listener, router).with_graceful_shutdown(stop);
        let task = tokio::spawn(async move { serving.await });
        OwnedServer { name, address: self.address, cancel, task: Some(task) }
    }
}

/// A running server and the task behind it.
#[derive(Debug)]
pub struct OwnedServer {
    name: &'static str,
    address: SocketAddr,
    cancel: CancellationToken,
    task: Option<JoinHandle<io::Result<()>>>,
}

impl OwnedServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for clients on this host, without a trailing path.
    pub fn url(&self) -> Url {
        url_of(self.address)
    }

    /// Triggered when the server is told to stop.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Stops accepting, lets requests in flight end, and joins the task.
    pub async fn shutdown(mut self) -> Result<(), ServerError> {
        let address = self.address;
        let Some(mut task) = self.task.take() else {
            return Ok(());
        };
        self.cancel.cancel();
        match timeout(SHUTDOWN_GRACE, &mut task).await {
            Ok(Ok(served)) => served.map_err(|source| ServerError::Serve { address, source }),
            Ok(Err(source)) => Err(ServerError::Panicked { address, source }),
            Err(_elapsed) => {
                task.abort();
                Err(ServerError::StillBusy { address })
            }
        }
    }
}

impl Drop for OwnedServer {
    fn drop(&mut self) {
        if self.task.is_some() {
            self.cancel.cancel();
            tracing::warn!(
                server.address = %self.address,
                "{} dropped without shutdown; its task was told to stop but not awaited",
                self.name
            );
        }
    }
}

/// The base URL of `address` for clients on this host: a wildcard becomes loopback.
pub fn url_of(address: SocketAddr) -> Url {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    http_url(SocketAddr::new(host, address.port()))
}

/// Writes `port` to `path` in one step, so that a reader never sees half of it.
pub fn write_port_file(path: &Path, port: u16) -> Result<(), ServerError> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, format!("{port}\n"))
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(|source| ServerError::PortFile { path: path.display().to_string(), source })
}

/// Returns at the first SIGINT or SIGTERM, for programs that serve until then.
pub async fn stop_signal() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// An error and its causes on one line, for a program's last words.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn http_url(address: SocketAddr) -> Url {
    match Url::parse(&format!("http://{address}")) {
        Ok(url) => url,
        Err(error) => unreachable!("http://{address} is a URL by construction: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_address_is_reached_by_loopback() {
        assert_eq!(url_of("0.0.0.0:80".parse().unwrap()).as_str(), "http://127.0.0.1/");
        assert_eq!(url_of("[::]:81".parse().unwrap()).as_str(), "http://127.0.0.1:81/");
        assert_eq!(url_of("172.17.0.1:82".parse().unwrap()).as_str(), "http://172.17.0.1:82/");
    }

    #[test]
    fn the_port_file_holds_the_port_and_a_newline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("port");
        write_port_file(&path, 4711).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "4711\n");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named_in_the_error() {
        let first = Bound::new("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = Bound::new(first.address()).await.unwrap_err();
        assert!(error.to_string().contains(&first.address().to_string()), "{error}");
    }
}
