//! Runs the server until a signal: bind, announce, answer, drain.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cancel::CancelFlags;
use crate::config::{Behaviour, ServeConfig};
use crate::embedding::Embedder;
use crate::lease::Leases;
use crate::memory::Memory;
use crate::output;
use crate::review::Nudge;
use crate::review::poller::Poller;
use crate::router::router;
use crate::state::{App, Protocol};
use crate::store::{Store, StoreError};
use crate::sweep::sweep;

/// How long requests in hand may take after a signal.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// The server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("cannot use the database")]
    Store(#[from] StoreError),
    #[error("cannot set up HTTP for the embedding endpoint")]
    Embedding(#[source] reqwest::Error),
    #[error("cannot listen on {listen}")]
    Bind {
        listen: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot write --port-file {}", path.display())]
    PortFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot watch for signals")]
    Signal(#[source] io::Error),
    #[error("the server stopped by itself")]
    Server(#[source] io::Error),
}

/// Serves until SIGTERM or SIGINT, then lets requests in hand end.
pub(crate) async fn serve(config: ServeConfig) -> Result<(), ServeError> {
    let store = Store::open(&config.db)?;
    let embedder = config.embedding.clone().map(Embedder::new).transpose();
    let memory = Memory::new(store.clone(), embedder.map_err(ServeError::Embedding)?);
    let bind = |source| ServeError::Bind { listen: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    // Before anyone is told that the server is there: a signal must not be lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signal)?;

    let stop = CancellationToken::new();
    let mut server = pin!(run(listener, store, memory, &config, stop.clone()));
    announce(&config, address)?;

    tokio::select! {
        ended = &mut server => return ended.map_err(ServeError::Server),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
    match tokio::time::timeout(DRAIN_LIMIT, server).await {
        Ok(ended) => ended.map_err(ServeError::Server),
        Err(_elapsed) => {
            tracing::warn!("stopped with requests unanswered after {DRAIN_LIMIT:?}");
            Ok(())
        }
    }
}

/// The server and, beside it, the sweep of the leases and the review loop; all end with `stop`.
async fn run(
    listener: TcpListener,
    store: Store,
    memory: Memory,
    config: &ServeConfig,
    stop: CancellationToken,
) -> io::Result<()> {
    let (nudge, nudges) = Nudge::channel();
    let (protocol, leases) = match config.behaviour {
        Behaviour::Ours(terms) => {
            let leases = Leases::new(terms);
            (Protocol::Ours(leases.clone(), nudge.clone()), Some((leases, nudge)))
        }
        Behaviour::Original => (Protocol::Original(CancelFlags::default()), None),
    };
    let app = router(App::new(store.clone(), memory, config.key.clone(), protocol));
    let server = async {
        let server = axum::serve(listener, app);
        let ended = server.with_graceful_shutdown(stop.clone().cancelled_owned()).await;
        stop.cancel();
        ended
    };
    let beside = async {
        if let Some((leases, nudge)) = leases {
            let poller = Poller::new(store.clone(), config.review);
            let reviewing = poller.run(nudges, stop.clone());
            tokio::join!(sweep(store, leases, nudge, stop.clone()), reviewing);
        }
    };
    tokio::join!(server, beside).0
}

fn announce(config: &ServeConfig, address: SocketAddr) -> Result<(), ServeError> {
    if let Some(path) = &config.port_file {
        write_whole(path, &format!("{}\n", address.port()))
            .map_err(|source| ServeError::PortFile { path: path.clone(), source })?;
    }
    let keyed = config.key.is_some();
    let behaviour = config.behaviour;
    tracing::info!(db = %config.db.display(), keyed, ?behaviour, "listening on http://{address}");
    // No one may be reading, which is no reason to stop.
    let _unread = output::line(&format!("listening on http://{address}"));
    Ok(())
}

/// A reader sees nothing or all of it.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}
