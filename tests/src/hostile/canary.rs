//! Listeners that a job has no business with. They answer, and note what reaches them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// The address at which containers of a cloud are told their secrets. That of machines, 169.254.169.254,
/// is of the same kind, and not taken: the machine of the test may be one of a cloud.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);

/// What they answer.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// The longest beginning of a request that is noted, in bytes.
const NOTED: usize = 512;

/// All listeners.
#[derive(Debug)]
pub(super) struct Canary {
    /// Port of the listener on all addresses of the host.
    pub(super) everywhere: u16,
    /// Port of the one on its loopback address.
    pub(super) loopback: u16,
    /// Address and port of the one at an address of metadata.
    pub(super) metadata: SocketAddr,
    /// Port of the one for datagrams, on all addresses of both versions.
    pub(super) datagrams: u16,
    heard: Heard,
    _address: MetadataAddress,
    _tasks: JoinSet<()>,
}

type Heard = Arc<Mutex<String>>;

impl Canary {
    pub(super) async fn start() -> Self {
        let (heard, mut tasks) = (Heard::default(), JoinSet::new());
        let address = MetadataAddress::take();
        let mut bound = Vec::new();
        for address in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST, METADATA] {
            let listener = TcpListener::bind((address, 0)).await.expect("a free port");
            bound.push(listener.local_addr().expect("it is bound"));
            tasks.spawn(listen(listener, Arc::clone(&heard)));
        }
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await.expect("a free port");
        let datagrams = socket.local_addr().expect("it is bound").port();
        tasks.spawn(answer_datagrams(socket));
        let [everywhere, loopback, metadata] = bound[..] else { unreachable!("three listeners") };
        let (everywhere, loopback) = (everywhere.port(), loopback.port());
        Self { everywhere, loopback, metadata, datagrams, heard, _address: address, _tasks: tasks }
    }

    /// Whether these words have reached any of those that listen.
    pub(super) fn heard(&self, words: &str) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).contains(words)
    }
}

async fn listen(listener: TcpListener, heard: Heard) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; NOTED];
        let read = stream.read(&mut request).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&request[..read]).into_owned();
        heard.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        // Whoever asked may be gone.
        let _gone = stream.write_all(ANSWER).await;
    }
}

async fn answer_datagrams(socket: UdpSocket) {
    let mut datagram = [0; NOTED];
    while let Ok((_, from)) = socket.recv_from(&mut datagram).await {
        let _gone = socket.send_to(b"heard", from).await;
    }
}

/// The address on this machine; given back when dropped.
#[derive(Debug)]
struct MetadataAddress;

impl MetadataAddress {
    fn take() -> Self {
        ip("add");
        Self
    }
}

impl Drop for MetadataAddress {
    fn drop(&mut self) {
        ip("del");
    }
}

fn ip(action: &str) {
    let address = format!("{METADATA}/32");
    let command = ["address", action, &address, "dev", "lo"];
    let output = Command::new("ip").args(command).output().expect("ip, of iproute2");
    let said = String::from_utf8_lossy(&output.stderr);
    // One that is left by a run that was killed serves as well.
    assert!(output.status.success() || said.contains("exists"), "ip {command:?}: {said}");
}
