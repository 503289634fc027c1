//! Names for the containers of an inner engine.
//!
//! On a network of its own the agent's name server is at an address of its loopback interface, which is
//! another one in each container within. An engine that finds only such a server gives its containers
//! public ones instead, which a closed network does not have. So it is given one on its own bridge, which
//! passes every question on as it is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const PORT: u16 = 53;

/// How long the engine may take to make its bridge, and how often that is looked for.
const BRIDGE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// How long a question may take, and a connection with several.
const QUESTION: Duration = Duration::from_secs(10);
const CONNECTION: Duration = Duration::from_secs(60);

/// Questions at once; more are dropped, and asked again by whoever asked.
const AT_ONCE: usize = 256;

/// Longest message over UDP, in bytes.
const MESSAGE_MAX: usize = 65_535;

/// A name server on the bridge of an inner engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameServer {
    bridge: Ipv4Addr,
    upstream: SocketAddr,
}

impl NameServer {
    /// The one that is needed where this is what the agent resolves names with, if one is.
    pub(super) fn needed(resolv_conf: &str, bridge: Ipv4Addr) -> Option<Self> {
        let servers = resolv_conf.lines().filter_map(|line| {
            let address = line.trim().strip_prefix("nameserver")?;
            address.trim().parse::<IpAddr>().ok()
        });
        let servers: Vec<IpAddr> = servers.collect();
        let upstream = *servers.first().filter(|_| servers.iter().all(IpAddr::is_loopback))?;
        Some(Self { bridge, upstream: SocketAddr::new(upstream, PORT) })
    }

    /// The address at which containers find it.
    pub(super) const fn address(&self) -> Ipv4Addr {
        self.bridge
    }

    /// Serves until it is dropped.
    pub(super) async fn serve(self) {
        if let Err(error) = self.try_to_serve(SocketAddr::from((self.bridge, PORT))).await {
            tracing::warn!(%error, "the containers of the inner Docker engine have no name server");
        }
    }

    async fn try_to_serve(self, at: SocketAddr) -> io::Result<()> {
        let udp = timeout(BRIDGE, bound(at)).await.map_err(io::Error::from)??;
        let tcp = TcpListener::bind(udp.local_addr()?).await?;
        let udp = Arc::new(udp);
        let mut questions = JoinSet::new();
        let mut message = vec![0; MESSAGE_MAX];
        loop {
            tokio::select! {
                received = udp.recv_from(&mut message) => {
                    let (length, asker) = received?;
                    if questions.len() < AT_ONCE {
                        let (udp, question) = (Arc::clone(&udp), message[..length].to_vec());
                        questions.spawn(async move {
                            let answer = timeout(QUESTION, self.ask(&question)).await;
                            udp.send_to(&answer.map_err(io::Error::from)??, asker).await?;
                            Ok::<(), io::Error>(())
                        });
                    }
                }
                accepted = tcp.accept() => {
                    let (mut asker, _) = accepted?;
                    if questions.len() < AT_ONCE {
                        questions.spawn(async move {
                            let mut upstream = TcpStream::connect(self.upstream).await?;
                            let copied = tokio::io::copy_bidirectional(&mut asker, &mut upstream);
                            timeout(CONNECTION, copied).await.map_err(io::Error::from)??;
                            Ok(())
                        });
                    }
                }
                Some(ended) = questions.join_next() => {
                    if let Ok(Err(error)) = ended {
                        tracing::debug!(%error, "a name was not looked up");
                    }
                }
            }
        }
    }

    async fn ask(self, question: &[u8]) -> io::Result<Vec<u8>> {
        let here: IpAddr = Ipv4Addr::UNSPECIFIED.into();
        let upstream = UdpSocket::bind((here, 0)).await?;
        upstream.connect(self.upstream).await?;
        upstream.send(question).await?;
        let mut answer = vec![0; MESSAGE_MAX];
        let length = upstream.recv(&mut answer).await?;
        answer.truncate(length);
        Ok(answer)
    }
}

/// A socket at an address that is there soon.
async fn bound(at: SocketAddr) -> io::Result<UdpSocket> {
    loop {
        match UdpSocket::bind(at).await {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => sleep(LOOK).await,
            bound => return bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    #[test]
    fn it_is_needed_where_the_agents_own_is_on_its_loopback_interface() {
        let bridge = Ipv4Addr::new(198, 18, 0, 1);
        let needed = |text| NameServer::needed(text, bridge).map(|server| server.upstream);
        assert_eq!(
            needed("nameserver 127.0.0.11\noptions ndots:0\n").unwrap().to_string(),
            "127.0.0.11:53"
        );
        assert_eq!(needed("search x\nnameserver 10.0.0.2\n"), None);
        assert_eq!(needed("nameserver 127.0.0.1\nnameserver 10.0.0.2\n"), None);
        assert_eq!(needed(""), None);
    }

    #[tokio::test]
    async fn questions_and_answers_pass_as_they_are_by_both_ways() {
        let loopback = Ipv4Addr::LOCALHOST;
        let udp = UdpSocket::bind((loopback, 0)).await.unwrap();
        let upstream = udp.local_addr().unwrap();
        let tcp = TcpListener::bind(upstream).await.unwrap();
        let at = UdpSocket::bind((loopback, 0)).await.unwrap().local_addr().unwrap();
        let server = NameServer { bridge: loopback, upstream };
        let _serving = AbortOnDropHandle::new(tokio::spawn(server.try_to_serve(at)));

        let client = UdpSocket::bind((loopback, 0)).await.unwrap();
        let mut message = [0; 9];
        let answered = async {
            let (length, from) = udp.recv_from(&mut message).await.unwrap();
            assert_eq!(&message[..length], b"question");
            udp.send_to(b"answer", from).await.unwrap();
        };
        let asked = async {
            let mut answer = [0; 9];
            loop {
                client.send_to(b"question", at).await.unwrap();
                let heard = timeout(Duration::from_secs(1), client.recv(&mut answer)).await;
                if let Ok(Ok(length)) = heard {
                    return answer[..length].to_vec();
                }
            }
        };
        let ((), answer) = tokio::join!(answered, asked);
        assert_eq!(answer, b"answer");

        let mut client = TcpStream::connect(at).await.unwrap();
        client.write_all(b"question").await.unwrap();
        let (mut upstream, _) = tcp.accept().await.unwrap();
        let mut question = [0; 8];
        upstream.read_exact(&mut question).await.unwrap();
        assert_eq!(&question, b"question");
    }
}
