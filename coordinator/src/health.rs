//! Telling whoever asks on this host how the coordinator is: `/live`, `/ready`, `/health`, `/metrics`, over
//! HTTP at `HEALTH_LISTEN`.
//!
//! It only tells: nothing can be changed by it, no secret is in what it says, and it asks neither the
//! engine nor the app. Connections are few and short, whatever a client does.

mod answer;
mod assess;
mod listener;
mod sights;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use api_client::error_chain;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::answer::answer;
use self::listener::{Listener, Stream};
pub(crate) use self::sights::DiskLooks;
use crate::config::HealthListen;
use crate::context::Context;

/// At most so many clients at once; the others wait their turn.
const CLIENTS_MAX: usize = 16;

/// Longest time for a request to arrive, and for a whole connection, which is for one request.
const REQUEST: Duration = Duration::from_secs(3);
const CONNECTION: Duration = Duration::from_secs(10);

/// Longest head of a request, in bytes.
const HEAD_MAX: usize = 8 << 10;

/// An address that cannot be had is tried again after this time.
const RETRY: Duration = Duration::from_secs(10);

/// Whether one could listen there now.
///
/// # Errors
/// Why not, in words.
pub(crate) async fn could_listen(listen: &HealthListen) -> Result<(), String> {
    Listener::open(listen).await.map(drop).map_err(|error| error_chain(&error))
}

/// Answers until told to end. Jobs do not wait for this: an address that cannot be had is said once, and
/// tried again.
pub(crate) async fn run(ctx: Arc<Context>, listen: &HealthListen, end: CancellationToken) {
    let mut said = false;
    while !end.is_cancelled() {
        match Listener::open(listen).await {
            Ok(listener) => {
                tracing::info!("health and metrics at {listener}");
                return serve(&listener, &ctx, &end).await;
            }
            Err(error) if !said => {
                said = true;
                let error = error_chain(&error);
                tracing::error!(error, "no health and metrics (HEALTH_LISTEN); trying on");
            }
            Err(_) => {}
        }
        let _ended = end.run_until_cancelled(sleep(RETRY)).await;
    }
}

async fn serve(listener: &Listener, ctx: &Arc<Context>, end: &CancellationToken) {
    let clients = TaskTracker::new();
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    let next = async || {
        // The semaphore is never closed.
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        Some((place, listener.accept().await))
    };
    while let Some(Some((place, accepted))) = end.run_until_cancelled(next()).await {
        match accepted {
            Ok(stream) => {
                let (ctx, end) = (Arc::clone(ctx), end.clone());
                clients.spawn(async move {
                    let conversation = timeout(CONNECTION, converse(stream, &ctx));
                    let _done = end.run_until_cancelled(conversation).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the health server takes no client");
                let _ended = end.run_until_cancelled(sleep(RETRY)).await;
            }
        }
    }
    clients.close();
    clients.wait().await;
}

async fn converse(stream: Stream, ctx: &Arc<Context>) {
    match stream {
        Stream::Tcp(stream) => speak_http(stream, ctx).await,
        Stream::Unix(stream) => speak_http(stream, ctx).await,
    }
}

async fn speak_http(stream: impl AsyncRead + AsyncWrite + Unpin, ctx: &Arc<Context>) {
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(answer(ctx, &request).await) });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .keep_alive(false)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a client of the health server went away");
    }
}
