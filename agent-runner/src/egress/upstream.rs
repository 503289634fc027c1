//! The proxy before this one: where the machine itself goes out through one, a gateway does as well.
//!
//! Names are then looked up by that proxy. What this network's own name servers say of a name is looked at
//! all the same, so that a name of the inside is not reached by way of it; but a name that they do not know
//! is that proxy's to judge.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use api_client::http::ProxySettings;
use hyper::header::HeaderValue;
use hyper::{StatusCode, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::host::Target;

/// The port of a proxy whose URL names none.
const PORT: u16 = 80;
/// How long a proxy may take to make a connection, its own look-up included.
const LIMIT: Duration = Duration::from_secs(30);
/// Longest head of its answer, in bytes.
const HEAD_MAX: usize = 16 << 10;

/// What a target is asked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A tunnel.
    Connect,
    /// A plain request.
    Http,
}

/// The proxies before this one.
#[derive(Debug)]
pub(crate) struct Upstream(Matcher);

/// The proxy that is asked for one target.
#[derive(Debug)]
pub(super) struct Hop(Intercept);

/// That proxy was of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// It cannot be reached.
    #[error("the proxy {proxy} of the gateway cannot be reached")]
    Unreachable {
        /// Its host and port.
        proxy: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It wants to know who asks.
    #[error(
        "the proxy {proxy} of the gateway wants a user name and password \
         (HTTPS_PROXY=http://user:password@host:port) or does not accept the ones it got (407)"
    )]
    Unauthorised {
        /// Its host and port.
        proxy: String,
    },
    /// It makes no connection.
    #[error("the proxy {proxy} of the gateway answers {status}")]
    Refused {
        /// Its host and port.
        proxy: String,
        /// Its answer.
        status: StatusCode,
    },
}

impl Way {
    /// The word for it in the job's log.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Http => "HTTP",
        }
    }
}

impl Upstream {
    /// The proxies of these settings.
    pub(crate) fn new(settings: &ProxySettings) -> Self {
        let url = |url: &Option<api_client::Secret>| {
            url.as_ref().map_or_else(String::new, |url| url.expose().to_owned())
        };
        let except = settings.except.clone().unwrap_or_default();
        let matcher = Matcher::builder().http(url(&settings.http)).https(url(&settings.https));
        Self(matcher.no(except).build())
    }

    /// The proxy for a target, where it is not reached without.
    pub(super) fn hop(&self, way: Way, target: &Target) -> Option<Hop> {
        let scheme = match way {
            Way::Connect => "https",
            Way::Http => "http",
        };
        let uri: Uri = format!("{scheme}://{target}/").parse().ok()?;
        self.0.intercept(&uri).map(Hop)
    }
}

impl Hop {
    /// What the proxy is shown, where its URL has a password.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.0.basic_auth()
    }

    /// A connection to the proxy itself.
    pub(super) async fn connect(&self) -> Result<TcpStream, UpstreamError> {
        let unreachable = |source| UpstreamError::Unreachable { proxy: self.to_string(), source };
        let connect = async {
            let host = self.0.uri().host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let port = self.0.uri().port_u16().unwrap_or(PORT);
            let all: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
            TcpStream::connect(all.as_slice()).await
        };
        let connected = timeout(LIMIT, connect).await;
        connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unreachable)
    }

    /// A tunnel through the proxy.
    pub(super) async fn tunnel(&self, target: &Target) -> Result<TcpStream, UpstreamError> {
        let mut stream = self.connect().await?;
        let status = timeout(LIMIT, self.ask(&mut stream, target)).await;
        let status = status.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match status {
            Ok(status) if status.is_success() => Ok(stream),
            Ok(StatusCode::PROXY_AUTHENTICATION_REQUIRED) => {
                Err(UpstreamError::Unauthorised { proxy: self.to_string() })
            }
            Ok(status) => Err(UpstreamError::Refused { proxy: self.to_string(), status }),
            Err(source) => Err(UpstreamError::Unreachable { proxy: self.to_string(), source }),
        }
    }

    async fn ask(&self, stream: &mut TcpStream, target: &Target) -> io::Result<StatusCode> {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(authorization) = self.authorization() {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await?;
        // Byte by byte: what comes after the head is the target's.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= HEAD_MAX {
                return Err(io::Error::other("its answer has no end"));
            }
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status
            .filter(|_| head.starts_with("HTTP/1."))
            .ok_or_else(|| io::Error::other("it does not answer as an HTTP proxy does"))
    }
}

impl fmt::Display for Hop {
    /// Its host and port, and never its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.0.uri();
        write!(f, "{}:{}", uri.host().unwrap_or("?"), uri.port_u16().unwrap_or(PORT))
    }
}
