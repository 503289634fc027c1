//! The HTTP proxy: tunnels (CONNECT) and plain requests, to hosts that the filter lets through.
//!
//! Invariant: a connection goes to an address that was looked at, never to a name that is looked up
//! again; a plain request is read whole, judged by its target alone and written anew, so that nothing
//! can be hidden behind it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use api_client::error_chain;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::filter::{Connected, Denial, Filter};
use super::forward;
use super::host::Target;
use super::idle::IdleLimited;
use super::tasks::Tasks;
use super::upstream::Way;

/// How many connections there are at once; further ones wait.
const CONNECTIONS_MAX: usize = 512;
/// How long the head of a request may take, or a connection wait for its next one.
const HEAD_LIMIT: Duration = Duration::from_secs(60);
/// Longest head of a request, in bytes.
const HEAD_MAX: usize = 64 << 10;
/// How long we wait when there are no more descriptors for connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) type Body = Either<Full<Bytes>, Incoming>;

/// What all connections share.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    /// The decision.
    pub(super) filter: Arc<Filter>,
    /// Where every connection is owned.
    pub(super) tasks: Tasks,
    /// How many more connections there may be.
    places: Arc<Semaphore>,
}

/// A request that is not passed on.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The answer's status.
    pub(super) status: StatusCode,
    /// What the caller is told.
    pub(super) message: String,
}

impl Proxy {
    /// A proxy that asks this filter; its work is owned by `tasks`.
    pub(super) fn new(filter: Arc<Filter>, tasks: Tasks) -> Self {
        Self::with_places(filter, tasks, Arc::new(Semaphore::new(CONNECTIONS_MAX)))
    }

    /// The same with a number of connections of its own.
    pub(super) fn with_places(filter: Arc<Filter>, tasks: Tasks, places: Arc<Semaphore>) -> Self {
        Self { filter, tasks, places }
    }

    /// Takes connections until it is cancelled.
    pub(super) async fn serve(self, listener: TcpListener) {
        loop {
            let next = async {
                let place = Arc::clone(&self.places).acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = self.tasks.cancelled() => return,
                next = next => next,
            };
            match (place, accepted) {
                (Ok(place), Ok((stream, _))) => self.take(stream, place),
                (_, Err(error)) => {
                    tracing::warn!(%error, "the egress proxy cannot take a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
                // The semaphore is never closed.
                (Err(_), _) => return,
            }
        }
    }

    fn take(&self, stream: TcpStream, place: OwnedSemaphorePermit) {
        let proxy = self.clone();
        // A tunnel outlives the connection it began on.
        let place = Arc::new(place);
        let service = service_fn(move |request| {
            let (proxy, place) = (proxy.clone(), Arc::clone(&place));
            async move { Ok::<_, Infallible>(Box::pin(proxy.answer(request, place)).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(IdleLimited::new(stream)), service)
            .with_upgrades();
        self.tasks.own(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = error_chain(&error), "a connection to the proxy broke");
            }
        });
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        place: Arc<OwnedSemaphorePermit>,
    ) -> Response<Body> {
        let answered = if request.method() == Method::CONNECT {
            self.tunnel(request, place).await
        } else {
            forward::forward(self, request).await
        };
        answered.unwrap_or_else(Refusal::into_response)
    }

    async fn tunnel(
        &self,
        mut request: Request<Incoming>,
        place: Arc<OwnedSemaphorePermit>,
    ) -> Result<Response<Body>, Refusal> {
        let asked = request.uri().to_string();
        let target = Target::parse(&asked, None).map_err(|error| {
            self.filter.refused(&format!("CONNECT {asked}"), &error);
            Refusal::malformed(&format!("CONNECT needs host:port: {error}"))
        })?;
        let connected = self.filter.connect(Way::Connect, &target).await;
        let Connected { stream, .. } =
            connected.map_err(|denial| Refusal::denied(&target, &denial))?;
        let upgrade = hyper::upgrade::on(&mut request);
        self.tasks.own(async move {
            tunnel(upgrade, stream).await;
            drop(place);
        });
        Ok(Response::new(Either::Left(Full::default())))
    }
}

/// Passes on what comes on either side, each until its end.
async fn tunnel(upgrade: OnUpgrade, mut stream: IdleLimited<TcpStream>) {
    let mut client: TokioIo<Upgraded> = match upgrade.await {
        Ok(client) => TokioIo::new(client),
        Err(error) => {
            tracing::debug!(error = error_chain(&error), "a tunnel's caller left");
            return;
        }
    };
    if let Err(error) = copy_bidirectional(&mut client, &mut stream).await {
        tracing::debug!(%error, "a tunnel broke");
    }
}

impl Refusal {
    /// A request that makes no sense to a proxy.
    pub(super) fn malformed(message: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.to_owned() }
    }

    /// A target that was not connected to.
    pub(super) fn denied(target: &Target, denial: &Denial) -> Self {
        let (status, cure) = match denial {
            Denial::NotListed => (
                StatusCode::FORBIDDEN,
                format!(
                    "; with AGENT_EGRESS=allowlist an operator may add \"{target}\" to \
                     AGENT_EGRESS_ALLOW (agent.egress_allow)"
                ),
            ),
            Denial::NotPublic { .. } => (
                StatusCode::FORBIDDEN,
                format!(
                    "; an operator who means it may add \"{target}=private\" to AGENT_EGRESS_ALLOW \
                     (agent.egress_allow)"
                ),
            ),
            Denial::Upstream(_) | Denial::Lookup(_) | Denial::Connect { .. } => {
                (StatusCode::BAD_GATEWAY, String::new())
            }
        };
        Self { status, message: format!("{target}: {}{cure}", error_chain(denial)) }
    }

    fn into_response(self) -> Response<Body> {
        let text = format!("agent-runner gateway: {}\n", self.message);
        let mut response = Response::new(Either::Left(Full::from(text)));
        *response.status_mut() = self.status;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }
}
