//! A proxy in front of a server that shows every request to a watcher at each of its moments, and
//! goes on or breaks off as the watcher says. Nothing that passes is changed.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::answers::{Answers, Said};
use super::engine_proxy::engine_socket;
use super::wiretap::{Seen, Wiretap};

/// How much is passed on at once.
const PIECE: usize = 16 << 10;

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its head has come; the server has nothing of it.
    Asked,
    /// The server has all of it.
    Sent,
    /// The server has begun to answer, with this status; the client has nothing of that.
    Answered(u16),
    /// The client has the beginning of the answer.
    Passed,
    /// The client has all of the answer.
    Ended,
}

/// What is to be done after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Go on.
    Free,
    /// Break off: the connection ends on both sides.
    Cut,
    /// Go on with the server as if the client had closed the connection: its answer is still
    /// looked at.
    HangUp,
}

/// Looks at the requests that pass.
pub trait Watcher: Send + Sync + 'static {
    /// A request begins; the number is what its steps are told by.
    fn request(&self, method: &str, path: &str) -> usize;

    /// A request has come to a step.
    fn step(&self, request: usize, step: Step) -> Passage;
}

/// The proxy. Its connections end with it.
pub struct Interceptor {
    address: Address,
    up: CancellationToken,
    _folder: Option<TempDir>,
}

#[derive(Clone, Debug)]
enum Address {
    Socket(PathBuf),
    Port(SocketAddr),
}

impl Interceptor {
    /// A proxy of the engine of this machine.
    pub fn of_engine(watcher: Arc<dyn Watcher>) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let socket = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).expect("a socket in a new folder");
        let up = CancellationToken::new();
        let accept = async move || Ok(listener.accept().await?.0);
        let connect = async || UnixStream::connect(engine_socket()).await;
        tokio::spawn(serve(up.clone(), accept, connect, watcher));
        Self { address: Address::Socket(socket), up, _folder: Some(folder) }
    }

    /// A proxy of the app that listens on this port of this host.
    pub async fn of_app(port: u16, watcher: Arc<dyn Watcher>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let up = CancellationToken::new();
        let accept = async move || Ok(listener.accept().await?.0);
        let connect = async move || TcpStream::connect(("127.0.0.1", port)).await;
        tokio::spawn(serve(up.clone(), accept, connect, watcher));
        Self { address: Address::Port(address), up, _folder: None }
    }

    /// Its URL: as `DOCKER_HOST` has it, or as that of the app.
    pub fn url(&self) -> String {
        match &self.address {
            Address::Socket(path) => format!("unix://{}", path.display()),
            Address::Port(address) => format!("http://{address}"),
        }
    }
}

impl Drop for Interceptor {
    fn drop(&mut self) {
        self.up.cancel();
    }
}

impl fmt::Debug for Interceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Interceptor").field(&self.address).finish()
    }
}

async fn serve<C, S>(
    up: CancellationToken,
    accept: impl AsyncFn() -> io::Result<C>,
    connect: impl AsyncFn() -> io::Result<S>,
    watcher: Arc<dyn Watcher>,
) where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Some(Ok(client)) = up.run_until_cancelled(accept()).await {
        // A server that is not there is not there for the client either.
        let Ok(server) = connect().await else { continue };
        let watcher = Arc::clone(&watcher);
        // A connection that breaks is the client's to notice.
        connections.spawn(async move { drop(Connection::new(watcher).run(client, server).await) });
    }
}

struct Connection {
    watcher: Arc<dyn Watcher>,
    requests: Wiretap,
    answers: Answers,
    current: Option<usize>,
    sent: bool,
    head_passed: bool,
}

impl Connection {
    fn new(watcher: Arc<dyn Watcher>) -> Self {
        let (requests, answers) = (Wiretap::default(), Answers::default());
        Self { watcher, requests, answers, current: None, sent: false, head_passed: false }
    }

    async fn run(
        mut self,
        mut client: impl AsyncRead + AsyncWrite + Unpin,
        mut server: impl AsyncRead + AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let (mut asked, mut said) = (vec![0; PIECE], vec![0; PIECE]);
        let (mut asking, mut listening) = (true, true);
        loop {
            tokio::select! {
                count = client.read(&mut asked), if asking => match count? {
                    0 => {
                        asking = false;
                        server.shutdown().await?;
                    }
                    count => match self.forward(&asked[..count], &mut server).await? {
                        Passage::Free => {}
                        Passage::Cut => return Ok(()),
                        Passage::HangUp => {
                            (asking, listening) = (false, false);
                            server.shutdown().await?;
                        }
                    },
                },
                count = server.read(&mut said) => match count? {
                    0 => return self.end(&mut client).await,
                    count if listening => {
                        if self.pass(&said[..count], &mut client).await? != Passage::Free {
                            return Ok(());
                        }
                    }
                    count => self.overhear(&said[..count]),
                },
            }
        }
    }

    /// Passes on a piece of what the client asks.
    async fn forward(
        &mut self,
        piece: &[u8],
        server: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<Passage> {
        for seen in self.requests.read(piece) {
            if let Seen::Request(request) = seen {
                let number = self.watcher.request(&request.method, &request.path);
                (self.current, self.sent, self.head_passed) = (Some(number), false, false);
                if self.step(Step::Asked) != Passage::Free {
                    return Ok(Passage::Cut);
                }
            }
        }
        server.write_all(piece).await?;
        if self.sent || !self.requests.complete() {
            return Ok(Passage::Free);
        }
        self.sent = true;
        Ok(self.step(Step::Sent))
    }

    /// Passes on a piece of what the server answers.
    async fn pass(
        &mut self,
        piece: &[u8],
        client: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<Passage> {
        let said = self.answers.read(piece);
        for said in &said {
            if let Said::Head(status) = said
                && self.step(Step::Answered(*status)) != Passage::Free
            {
                return Ok(Passage::Cut);
            }
        }
        client.write_all(piece).await?;
        for said in said {
            let step = match said {
                Said::Head(_) => Step::Passed,
                Said::End => Step::Ended,
            };
            if self.step(step) != Passage::Free {
                return Ok(Passage::Cut);
            }
        }
        Ok(Passage::Free)
    }

    /// Looks at an answer that no one waits for any more.
    fn overhear(&mut self, piece: &[u8]) {
        for said in self.answers.read(piece) {
            if let Said::Head(status) = said {
                self.step(Step::Answered(status));
            }
        }
    }

    /// The server has said all; for an answer without a length, that is its end.
    async fn end(&mut self, client: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        client.shutdown().await?;
        if self.current.is_some() {
            self.step(Step::Ended);
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Passage {
        let Some(request) = self.current else { return Passage::Free };
        match step {
            Step::Passed => self.head_passed = true,
            Step::Ended if !self.head_passed => return Passage::Free,
            Step::Ended => self.current = None,
            Step::Asked | Step::Sent | Step::Answered(_) => {}
        }
        self.watcher.step(request, step)
    }
}
