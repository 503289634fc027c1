//! A model on this machine that follows a script, for one coding CLI.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::reply::{Reply, reply};
use super::request::Request;
use super::script;

/// Largest request that is read, in bytes.
const REQUEST_MAX: usize = 16 << 20;

/// A model that listens until it is dropped.
#[derive(Debug)]
pub(super) struct ScriptedModel {
    address: SocketAddr,
    seen: Arc<Seen>,
    _serving: AbortOnDropHandle<()>,
}

/// What was asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Calls {
    /// When the first request came.
    pub(super) first: Option<Instant>,
    /// How many came.
    pub(super) count: u32,
}

#[derive(Debug)]
struct Seen {
    tree: PathBuf,
    calls: Mutex<Calls>,
}

impl ScriptedModel {
    /// Listens on this machine alone, for a CLI that works in this folder.
    ///
    /// # Errors
    /// When no port is to be had.
    pub(super) async fn listen(tree: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen { tree: tree.to_owned(), calls: Mutex::default() });
        let serving = AbortOnDropHandle::new(tokio::spawn(serve_all(listener, Arc::clone(&seen))));
        Ok(Self { address, seen, _serving: serving })
    }

    /// Its base URL, which the CLIs complete as they would a provider's.
    pub(super) fn url(&self) -> Result<Url, url::ParseError> {
        format!("http://{}", self.address).parse()
    }

    /// What was asked until now.
    pub(super) fn calls(&self) -> Calls {
        *self.seen.calls()
    }
}

impl Seen {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let body = Limited::new(request.into_body(), REQUEST_MAX).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (status, reply) = match Request::read(&path, &body) {
            Some(request) => {
                let mut calls = self.calls();
                calls.first.get_or_insert_with(Instant::now);
                calls.count += 1;
                (StatusCode::OK, reply(&request, &script::answer(&request, &self.tree)))
            }
            None => {
                let message =
                    json!({"error": {"message": "the doctor's model does not know this"}});
                (StatusCode::NOT_FOUND, Reply::json(&message))
            }
        };
        let mut response = Response::new(Full::from(reply.body));
        *response.status_mut() = status;
        let content_type = HeaderValue::from_static(reply.content_type);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }
}

async fn serve_all(listener: TcpListener, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    loop {
        // A connection that cannot be taken is one that the CLI asks for again.
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let seen = Arc::clone(&seen);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let seen = Arc::clone(&seen);
                async move { Ok::<_, Infallible>(seen.serve(request).await) }
            });
            let served =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            if let Err(error) = served {
                tracing::debug!(%error, "a connection to the doctor's model ended early");
            }
        });
    }
}
