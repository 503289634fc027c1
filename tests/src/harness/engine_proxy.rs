//! A socket in front of the engine's own that can be taken away, as a stopped engine takes its
//! own away, without stopping the engine of the machine. It records the requests that pass.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::wait::eventually;
use super::wiretap::{EngineRequest, Seen, Wiretap};

/// How much is passed on at once.
const PIECE: usize = 16 << 10;

/// Where the real engine listens: as `DOCKER_HOST` of the tests themselves says, so that they can be
/// run on another one.
pub(super) fn engine_socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").into()
}

/// How the engine is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Its socket is not there, as after an orderly stop.
    NoSocket,
    /// Whoever connects is cut off at once; each try is counted.
    HangUp,
}

/// The proxy.
pub struct EngineProxy {
    socket: PathBuf,
    shared: Arc<Shared>,
    _folder: TempDir,
}

#[derive(Debug)]
struct Shared {
    socket: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Cancelled when the listener and the connections of now are to end.
    up: Option<CancellationToken>,
    requests: Vec<EngineRequest>,
    refused: usize,
    trap: Option<Trap>,
}

#[derive(Debug)]
struct Trap {
    method: &'static str,
    path_part: &'static str,
    moment: Moment,
}

/// When, within a request, the engine goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the request reaches it.
    Before,
    /// When it has done what was asked: its answer is lost.
    Answered,
    /// It stays, but this request waits for ever and does not reach it.
    Never,
    /// It stays, and answers that it knows no such request.
    Unknown,
}

impl EngineProxy {
    /// A proxy that lets everything pass.
    pub fn start() -> Self {
        let proxy = Self::start_down();
        proxy.up();
        proxy
    }

    /// A proxy whose engine is not there yet.
    pub fn start_down() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let socket = folder.path().join("docker.sock");
        let shared = Arc::new(Shared { socket: socket.clone(), state: Mutex::default() });
        Self { socket, shared, _folder: folder }
    }

    /// Its address, as `DOCKER_HOST` has it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Lets everything pass from now on.
    pub fn up(&self) {
        self.down(Absence::NoSocket);
        let token = CancellationToken::new();
        tokio::spawn(accept(listen(&self.socket), Arc::clone(&self.shared), token.clone()));
        self.state().up = Some(token);
    }

    /// Takes the engine away: connections are cut, new ones are not had.
    pub fn down(&self, absence: Absence) {
        self.shared.go_down();
        if absence == Absence::HangUp {
            let token = CancellationToken::new();
            tokio::spawn(refuse(listen(&self.socket), Arc::clone(&self.shared), token.clone()));
            self.state().up = Some(token);
        }
    }

    /// Takes the engine away, as [`Absence::NoSocket`], at the next such request.
    pub fn down_at(&self, moment: Moment, method: &'static str, path_part: &'static str) {
        self.state().trap = Some(Trap { method, path_part, moment });
    }

    /// Waits until the request that was waited for has come.
    pub async fn trap_sprung(&self) {
        eventually("the request that ends it", async || self.state().trap.is_none().then_some(()))
            .await;
    }

    /// The requests that passed.
    pub fn requests(&self) -> Vec<EngineRequest> {
        self.state().requests.clone()
    }

    /// How many requests of a method passed whose path contains a text.
    pub fn count(&self, method: &str, path_part: &str) -> usize {
        let requests = &self.state().requests;
        let like =
            |request: &&EngineRequest| request.method == method && request.path.contains(path_part);
        requests.iter().filter(like).count()
    }

    /// How many connections were cut off.
    pub fn refused(&self) -> usize {
        self.state().refused
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for EngineProxy {
    fn drop(&mut self) {
        self.shared.go_down();
    }
}

impl fmt::Debug for EngineProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EngineProxy").field(&self.socket).finish()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    fn go_down(&self) {
        if let Some(token) = self.state().up.take() {
            token.cancel();
            // The listener's task may end later; without the path no one finds it.
            let _gone = std::fs::remove_file(&self.socket);
        }
    }

    fn cut(&self) -> io::Result<()> {
        self.go_down();
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// Records what was seen; tells whether the engine goes away at this.
    fn record(&self, seen: Seen) -> Passage {
        let mut state = self.state();
        let mut passage = Passage::Free;
        match seen {
            Seen::Request(request) => {
                let sprung = state.trap.take_if(|trap| {
                    request.method == trap.method && request.path.contains(trap.path_part)
                });
                if let Some(trap) = sprung {
                    match trap.moment {
                        Moment::Before => return Passage::Cut,
                        Moment::Answered => passage = Passage::CutAtAnswer,
                        Moment::Never => return Passage::Stuck,
                        Moment::Unknown => return Passage::Spoilt(trap.path_part),
                    }
                }
                state.requests.push(request);
            }
            // Of whichever request was the last: good enough while bodies are small.
            Seen::Body(part) => {
                if let Some(request) = state.requests.last_mut() {
                    request.body.extend(part);
                }
            }
        }
        passage
    }
}

enum Passage {
    Free,
    CutAtAnswer,
    Cut,
    Stuck,
    /// This part of the path is no more.
    Spoilt(&'static str),
}

fn listen(socket: &Path) -> UnixListener {
    UnixListener::bind(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()))
}

async fn accept(listener: UnixListener, shared: Arc<Shared>, up: CancellationToken) {
    while let Some(Ok((client, _))) = up.run_until_cancelled(listener.accept()).await {
        let (shared, up) = (Arc::clone(&shared), up.clone());
        tokio::spawn(async move {
            // A connection that breaks is the client's to notice.
            let _ended = up.run_until_cancelled(serve(client, shared)).await;
        });
    }
}

async fn refuse(listener: UnixListener, shared: Arc<Shared>, up: CancellationToken) {
    while let Some(Ok((client, _))) = up.run_until_cancelled(listener.accept()).await {
        drop(client);
        shared.state().refused += 1;
    }
}

async fn serve(client: UnixStream, shared: Arc<Shared>) -> io::Result<()> {
    let engine = UnixStream::connect(engine_socket()).await?;
    let (from_client, to_client) = client.into_split();
    let (from_engine, to_engine) = engine.into_split();
    let cut = AtomicBool::new(false);
    let requests = requests(from_client, to_engine, &shared, &cut);
    let answers = answers(from_engine, to_client, &shared, &cut);
    tokio::try_join!(requests, answers).map(drop)
}

/// Passes on what the client sends, until it closes its side.
async fn requests(
    mut client: OwnedReadHalf,
    mut engine: OwnedWriteHalf,
    shared: &Shared,
    cut: &AtomicBool,
) -> io::Result<()> {
    let mut tap = Wiretap::default();
    let mut buffer = vec![0; PIECE];
    loop {
        let count = client.read(&mut buffer).await?;
        if count == 0 {
            return engine.shutdown().await;
        }
        for seen in tap.read(&buffer[..count]) {
            match shared.record(seen) {
                Passage::Free => {}
                Passage::CutAtAnswer => cut.store(true, Ordering::Relaxed),
                Passage::Cut => return shared.cut(),
                Passage::Stuck => std::future::pending().await,
                Passage::Spoilt(part) => spoil(&mut buffer[..count], part.as_bytes()),
            }
        }
        engine.write_all(&buffer[..count]).await?;
    }
}

/// Makes another word of the first such part.
fn spoil(piece: &mut [u8], part: &[u8]) {
    if let Some(at) = piece.windows(part.len()).position(|window| window == part) {
        piece[at..at + part.len()].fill(b'x');
    }
}

/// Passes on what the engine answers, until it closes its side.
async fn answers(
    mut engine: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    shared: &Shared,
    cut: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let count = engine.read(&mut buffer).await?;
        if count == 0 {
            return client.shutdown().await;
        }
        if cut.load(Ordering::Relaxed) {
            return shared.cut();
        }
        client.write_all(&buffer[..count]).await?;
    }
}
