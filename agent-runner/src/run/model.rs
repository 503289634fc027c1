//! The worker's way to its model: a gateway of this process that has the key, so that the worker does
//! not.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use api_client::Secret;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::pause;
use super::spending::Spending;
use crate::model_gateway::{
    Account, ModelGateway, ModelGatewayConfig, ShutOutWatch, Totals, Unfit,
};
use crate::outcome::RunError;
use crate::settings::{Provider, WorkerSettings};
use crate::worker::Ending;

/// An open gateway, for one worker.
pub(super) struct ModelAccess {
    gateway: ModelGateway,
    worker: WorkerSettings,
    stop: CancellationToken,
    /// When the time is over, where that is limited.
    deadline: Option<Instant>,
    /// Passes the end of the budget on to `stop`.
    _watch: AbortOnDropHandle<()>,
    /// Ends the budget when the time is over.
    _clock: Option<AbortOnDropHandle<()>>,
}

impl ModelAccess {
    /// Opens one at an address of this host's own that nobody else knows the placeholder of.
    /// After `time`, where that is limited, its budget ends. What earlier tries of the job spent, and how long they
    /// took, is a part of both.
    pub(super) async fn open(
        settings: &WorkerSettings,
        time: Option<Duration>,
        spending: &Spending,
        cancel: &CancellationToken,
    ) -> Result<Self, RunError> {
        let placeholder = Secret::from(format!("agent-{}", Uuid::new_v4().simple()));
        let config = ModelGatewayConfig::of(settings, placeholder.clone(), spending.spent());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let gateway = ModelGateway::listen(address, config, cancel.clone()).await?;
        let worker = settings.by_way_of(gateway.base_url(), placeholder);
        gateway.account().begin_with(spending.spent());
        tracing::debug!(address = %gateway.address(), "the model gateway listens");
        let stop = cancel.child_token();
        let (exhausted, stopped) = (gateway.exhausted().clone(), stop.clone());
        let watch = tokio::spawn(async move {
            exhausted.cancelled().await;
            stopped.cancel();
        });
        let left = |limit: Duration| limit.saturating_sub(spending.took());
        let deadline = time.map(|limit| Instant::now() + left(limit));
        let clock = time.map(|limit| {
            let (account, left) = (gateway.account(), left(limit));
            AbortOnDropHandle::new(tokio::spawn(async move {
                sleep(left).await;
                account.end_of_time(limit);
            }))
        });
        let watch = AbortOnDropHandle::new(watch);
        Ok(Self { gateway, worker, stop, deadline, _watch: watch, _clock: clock })
    }

    /// Why the turn cannot succeed, as far as the endpoint tells before it is begun. One of the CLI's own
    /// provider is not asked: it speaks the protocol.
    pub(super) async fn unfit(&self) -> Option<Ending> {
        let settings = &self.worker;
        if settings.provider == Provider::Own {
            return None;
        }
        let (wire, cli) = (settings.cli.kind().wire(), settings.cli.name());
        let checked = self.stop.run_until_cancelled(self.gateway.check(wire, settings.cli.model()));
        let unfit = checked.await?.err()?;
        let needed = wire.title();
        Some(match unfit {
            Unfit::Key(why) => Ending::AuthFailed(why),
            Unfit::Model(why) => Ending::ModelUnavailable(why),
            Unfit::Protocol(why) => Ending::ModelUnavailable(format!(
                "the endpoint of WORKER_LLM_URL does not speak what {cli} needs, {needed}; it answered \
                 {why}"
            )),
            Unfit::Unreachable(why) => Ending::ModelUnavailable(format!(
                "the endpoint of WORKER_LLM_URL cannot be reached: {why}"
            )),
        })
    }

    /// The worker's settings with the gateway in the place of the model.
    pub(super) const fn worker(&self) -> &WorkerSettings {
        &self.worker
    }

    /// Cancelled when the run is, or when the budget is used up.
    pub(super) const fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// How much time is left, where it is limited.
    pub(super) fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The account that all calls are in.
    pub(super) fn account(&self) -> Account {
        self.gateway.account()
    }

    /// Tells of limits that are a pause of the run, and not of one call.
    pub(super) fn shut_outs(&self) -> ShutOutWatch {
        self.gateway.shut_outs(pause::SHORT)
    }

    /// What all calls of the worker were so far.
    pub(super) fn totals(&self) -> Totals {
        self.gateway.totals()
    }

    /// Ends it; what all calls were.
    pub(super) async fn close(self) -> Totals {
        self.gateway.shutdown().await
    }
}
