//! A gateway to the model: it passes on what coding CLIs ask a provider, and keeps the provider's key
//! to itself.
//!
//! A CLI is given this server's address and a placeholder. What it asks goes to the provider with the
//! real key, its answer comes back as it comes. Each call is counted and logged; when the job's budget
//! is used up, the answer is cut at that token, and nothing is passed on any more.
//!
//! Invariant: a key goes to one origin, that of its own provider, for requests to models below its
//! path; nothing that is sent back holds it.

mod account;
mod answer;
mod budget;
mod call;
mod check;
mod frames;
mod ledger;
mod limit;
mod provider;
mod refusal;
mod request;
mod serve;
mod shut_out;
mod usage;
mod usd;
mod wire;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api_client::http::Network;
use api_client::{Redactor, Secret};
use hyper::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

pub(crate) use self::account::Account;
pub(crate) use self::budget::{
    Budget, DirectorTotals, Exhausted, Failing, Price, Pricing, Spent, Totals,
};
pub(crate) use self::check::Unfit;
pub(crate) use self::limit::wait_of;
pub(crate) use self::shut_out::ShutOutWatch;
pub(crate) use self::usd::Usd;
pub(crate) use self::wire::Wire;

use self::ledger::Ledger;
use self::provider::Provider;
use self::refusal::Refusal;

/// How long a provider may be silent.
const SILENCE: Silence =
    Silence { before: Duration::from_secs(600), within: Duration::from_secs(300) };

/// How many connections there are at once; further ones wait.
const CONNECTIONS_MAX: usize = 256;

/// Calls that are under way at once; others wait. Each may hold a whole request in memory, and together
/// they can go beyond a budget by what each of them reads.
const CALLS_AT_ONCE: usize = 8;

/// How long the head of a request may take.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// How long we wait when there are no more descriptors for connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const USER_AGENT: &str = concat!("agent-runner/", env!("CARGO_PKG_VERSION"));

/// A provider, and on what terms it may be used.
#[derive(Debug)]
pub(crate) struct ModelGatewayConfig {
    /// Base URL of the provider.
    pub(crate) upstream: Url,
    /// Its key.
    pub(crate) key: Secret,
    /// Who stands in for it.
    pub(crate) fallback: Option<Fallback>,
    /// What callers must show in the place of the key.
    pub(crate) placeholder: Secret,
    /// The models that may be asked; none for all.
    pub(crate) models: Option<Vec<String>>,
    /// What may be used.
    pub(crate) budget: Budget,
    /// How the provider is reached.
    pub(crate) network: Network,
}

/// A provider that stands in while the job's own gives no answer. It speaks the same protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fallback {
    /// Base URL.
    pub(crate) url: Url,
    /// Its key.
    pub(crate) key: Secret,
    /// What is asked for there, where the model has another name.
    pub(crate) model: Option<String>,
}

/// A gateway could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelGatewayError {
    /// The address is not to be had.
    #[error("the model gateway cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The key can be no header's value.
    #[error("{name} has characters that cannot be sent; it must be one line of plain ASCII")]
    Key {
        /// The setting.
        name: &'static str,
    },
    /// There is no HTTP client.
    #[error("the model gateway cannot call the provider")]
    Client(#[source] reqwest::Error),
}

/// A gateway that listens. It ends with its token or with [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub(crate) struct ModelGateway {
    address: SocketAddr,
    gate: Arc<Gate>,
    cancel: CancellationToken,
    task: AbortOnDropHandle<()>,
}

/// How long a provider may be silent.
#[derive(Clone, Copy, Debug)]
struct Silence {
    /// Before its answer begins: one in a single piece begins when it is complete. The providers' own
    /// libraries wait as long.
    before: Duration,
    /// From one piece of the answer to the next. Models that think for long without a word send
    /// something to keep the connection.
    within: Duration,
}

/// What all calls share.
#[derive(Debug)]
struct Gate {
    main: Provider,
    fallback: Option<Provider>,
    placeholder: Secret,
    models: Option<Vec<String>>,
    turns: Arc<Semaphore>,
    client: reqwest::Client,
    ledger: Arc<Ledger>,
    redactor: Redactor,
    silence: Silence,
}

impl ModelGateway {
    /// Listens on `address` (port 0 picks a free one) until `cancel` is cancelled.
    ///
    /// # Errors
    /// When the address is not to be had, or the key cannot be sent.
    pub(crate) async fn listen(
        address: SocketAddr,
        config: ModelGatewayConfig,
        cancel: CancellationToken,
    ) -> Result<Self, ModelGatewayError> {
        Self::serve(address, Gate::new(config)?, cancel).await
    }

    async fn serve(
        address: SocketAddr,
        gate: Gate,
        cancel: CancellationToken,
    ) -> Result<Self, ModelGatewayError> {
        let gate = Arc::new(gate);
        let failed = |source| ModelGatewayError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let cancel = cancel.child_token();
        let serving = serve_all(listener, Arc::clone(&gate), cancel.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(serving));
        Ok(Self { address, gate, cancel, task })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL that stands for the provider's.
    pub(crate) fn base_url(&self) -> Url {
        let mut url = self.gate.main.base().clone();
        // All of this holds for an http or https URL, and ours is one.
        let _http = url.set_scheme("http");
        let _host = url.set_ip_host(self.address.ip());
        let _port = url.set_port(Some(self.address.port()));
        url
    }

    /// Cancelled at the moment the budget is used up.
    pub(crate) fn exhausted(&self) -> &CancellationToken {
        self.gate.ledger.exhausted()
    }

    /// What all calls were that have ended.
    pub(crate) fn totals(&self) -> Totals {
        self.gate.ledger.totals()
    }

    /// Tells of limits that hold for longer than that, where whoever calls waits them out.
    pub(crate) fn shut_outs(&self, longer_than: Duration) -> ShutOutWatch {
        self.gate.ledger.shut_outs().watch(longer_than)
    }

    /// The account of the job, for the Director's calls: they do not come this way.
    pub(crate) fn account(&self) -> Account {
        Account::of(&self.gate.ledger)
    }

    /// Ends it with the calls that are under way; what all calls were.
    pub(crate) async fn shutdown(self) -> Totals {
        self.cancel.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the model gateway did not end well");
        }
        self.gate.ledger.totals()
    }
}

impl Gate {
    fn new(config: ModelGatewayConfig) -> Result<Self, ModelGatewayError> {
        let client = config.network.client(USER_AGENT).and_then(|builder| builder.build());
        let client = client.map_err(ModelGatewayError::Client)?;
        let keys = [Some(&config.key), config.fallback.as_ref().map(|fallback| &fallback.key)];
        let redactor = Redactor::new(keys.into_iter().flatten());
        Ok(Self {
            main: Provider::main(config.upstream, &config.key)?,
            fallback: config.fallback.map(Provider::fallback).transpose()?,
            placeholder: config.placeholder,
            models: config.models,
            turns: Arc::new(Semaphore::new(CALLS_AT_ONCE)),
            client,
            ledger: Arc::new(Ledger::new(config.budget)),
            redactor,
            silence: SILENCE,
        })
    }

    /// Whether this model may be asked. A request that names none asks for none.
    fn admits(&self, model: &str) -> Result<(), Refusal> {
        if self.models.as_ref().is_none_or(|models| models.iter().any(|one| one == model)) {
            return Ok(());
        }
        let message = format!("WORKER_MODELS does not allow the model {model:?}");
        Err(Refusal::new(StatusCode::FORBIDDEN, message))
    }

    /// What is said when the budget is used up.
    fn exhausted(&self) -> Refusal {
        match self.ledger.how() {
            Some(how) => Refusal::budget(&how),
            None => Refusal::budget(&"no more calls"),
        }
    }

    /// What is said when the provider is silent.
    fn silent(limit: Duration) -> Refusal {
        let message = format!("the provider was silent for {} s", limit.as_secs());
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, message)
    }
}

/// Serves each connection in a task of its own, all of which end with this one.
async fn serve_all(listener: TcpListener, gate: Arc<Gate>, cancel: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&gate)));
                }
                Err(error) => {
                    tracing::warn!(%error, "the model gateway cannot take a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a call of the model broke off");
                }
            }
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, gate: Arc<Gate>) {
    let service = service_fn(|request| {
        let gate = Arc::clone(&gate);
        async { Ok::<_, Infallible>(serve::serve(gate, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the model gateway ended early");
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
