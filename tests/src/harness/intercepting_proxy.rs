//! A company's way out: an HTTP proxy that wants a password, takes TLS apart with certificates of its own
//! authority, and writes down who went where. It knows the hosts that it was told, and no other.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::tls::CertificateAuthority;

/// Longest head of a request, in bytes.
const HEAD_MAX: usize = 64 << 10;

/// What it wants to be shown.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password, with no character that a URL would need encoded.
    pub password: String,
}

/// One request to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyRecord {
    /// `CONNECT`, or the method of a plain request.
    pub method: String,
    /// `host:port`, or the URL of a plain request.
    pub target: String,
    /// Who asked.
    pub from: IpAddr,
    /// The status of its answer.
    pub status: u16,
    /// The first line of each request within a tunnel that was taken apart.
    pub inside: Vec<String>,
}

/// The proxy; it ends when this is dropped.
#[derive(Debug)]
pub struct InterceptingProxy {
    address: SocketAddr,
    login: Login,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    hosts: BTreeMap<String, SocketAddr>,
    basic: String,
    acceptor: TlsAcceptor,
    records: Mutex<Vec<ProxyRecord>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl InterceptingProxy {
    /// Listens at this address of this host. Each of the hosts is a server without TLS.
    pub async fn start(
        address: IpAddr,
        login: Login,
        authority: &CertificateAuthority,
        hosts: BTreeMap<String, SocketAddr>,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let names: Vec<String> = hosts.keys().cloned().collect();
        let basic = STANDARD.encode(format!("{}:{}", login.user, login.password));
        let acceptor = authority.acceptor(&names, None);
        let shared = Arc::new(Shared { hosts, basic, acceptor, records: Mutex::default() });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, from)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                // A connection that breaks is the client's to notice.
                tokio::spawn(async move { drop(shared.serve(stream, from.ip()).await) });
            }
        });
        Self { address, login, shared, _task: AbortOnDropHandle::new(task) }
    }

    /// Its URL with the login in it.
    pub fn url(&self) -> String {
        let Login { user, password } = &self.login;
        format!("http://{user}:{password}@{}", self.address)
    }

    /// The same without it.
    pub fn open_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked so far.
    pub fn records(&self) -> Vec<ProxyRecord> {
        self.shared.records().clone()
    }
}

impl Shared {
    fn records(&self) -> std::sync::MutexGuard<'_, Vec<ProxyRecord>> {
        self.records.lock().expect("nobody panics with it")
    }

    async fn serve(&self, mut client: TcpStream, from: IpAddr) -> io::Result<()> {
        let head = read_head(&mut client).await?;
        let mut words = head.lines().next().unwrap_or_default().split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let server = self.server_of(&method, &target);
        let status = match (self.knows(&head), server) {
            (false, _) => 407,
            (true, None) => 403,
            (true, Some(_)) => 200,
        };
        let plain = method != "CONNECT";
        let record =
            ProxyRecord { method, target: target.clone(), from, status, inside: Vec::new() };
        let index = {
            let mut records = self.records();
            records.push(record);
            records.len() - 1
        };
        let (200, Some(server)) = (status, server) else {
            let answer = format!(
                "HTTP/1.1 {status} No\r\nProxy-Authenticate: Basic realm=\"corp\"\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return client.write_all(answer.as_bytes()).await;
        };
        let mut server = TcpStream::connect(server).await?;
        if plain {
            server.write_all(direct(&head, &target).as_bytes()).await?;
            return copy_bidirectional(&mut client, &mut server).await.map(drop);
        }
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        let mut client = self.acceptor.accept(client).await?;
        self.take_apart(index, &mut client, &mut server).await
    }

    /// Passes on what is in a tunnel, once its first request was written down.
    async fn take_apart(
        &self,
        index: usize,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        server: &mut TcpStream,
    ) -> io::Result<()> {
        let head = read_head(client).await?;
        let first = head.lines().next().unwrap_or_default().to_owned();
        self.records()[index].inside.push(first);
        server.write_all(head.as_bytes()).await?;
        copy_bidirectional(client, server).await.map(drop)
    }

    fn knows(&self, head: &str) -> bool {
        head.lines().filter_map(|line| line.split_once(':')).any(|(name, value)| {
            name.eq_ignore_ascii_case("proxy-authorization")
                && value.trim().strip_prefix("Basic ").is_some_and(|basic| basic == self.basic)
        })
    }

    fn server_of(&self, method: &str, target: &str) -> Option<SocketAddr> {
        let authority = match method {
            "CONNECT" => target,
            _ => target.strip_prefix("http://")?.split('/').next()?,
        };
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        self.hosts.get(host).copied()
    }
}

/// The head of a plain request as the server itself wants it, for one request alone.
fn direct(head: &str, target: &str) -> String {
    let path = target.splitn(4, '/').nth(3).unwrap_or_default();
    let (first, rest) = head.split_once("\r\n").unwrap_or((head, "\r\n"));
    let method = first.split(' ').next().unwrap_or_default();
    let kept = rest.split("\r\n").filter(|line| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !["proxy-authorization", "proxy-connection", "connection"].contains(&name.as_str())
    });
    let kept: Vec<_> = kept.filter(|line| !line.is_empty()).collect();
    format!("{method} /{path} HTTP/1.1\r\n{}\r\nConnection: close\r\n\r\n", kept.join("\r\n"))
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
