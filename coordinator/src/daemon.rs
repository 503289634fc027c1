//! The daemon: wires the stages, owns every task and the token that stops them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use api_client::{ClientError, WorkerApi};
use futures_util::FutureExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::adopt::{self, Adopted};
use crate::alias::AliasHere;
use crate::claim::{Claimer, Round};
use crate::config::Config;
use crate::context::{Context, Mode};
use crate::engine::Engine;
use crate::identity::CoordinatorId;
use crate::images::ProjectImages;
use crate::job::{Claimed, Finished};
use crate::ledger::{Ledger, LedgerError, LockError, Record, Stage, StateLock, make_private_dir};
use crate::notify::Status;
use crate::outcome::{Cause, Outcome};
use crate::report::report;
use crate::slot::{Slot, Slots};
use crate::work::{carry_on, carry_out};

/// The app's settings are asked for again after this long.
const SETTINGS_AGE: Duration = Duration::from_secs(30);

/// An app that is in trouble is asked this much more rarely.
const TROUBLE_FACTOR: u32 = 3;

/// Name of this program and its version, for the app's log.
const USER_AGENT: &str = concat!("terarchitect-coordinator/", env!("CARGO_PKG_VERSION"));

/// The daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("cannot keep an identity in the state directory")]
    Identity(#[source] std::io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// The running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    ctx: Arc<Context>,
    slots: Slots,
    claimer: Claimer,
    tasks: TaskTracker,
    failures: Arc<AtomicUsize>,
    status: Status,
    settings_read: Option<Instant>,
    _lock: StateLock,
}

impl Daemon {
    /// Takes the state directory and prepares everything; talks to no one yet.
    pub(crate) fn new(
        config: Config,
        mode: Mode,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        let lock = StateLock::take(&config.state_dir)?;
        make_private_dir(&config.state_dir.join("logs"))?;
        let alias = AliasHere::look_up();
        let app_url = alias.seen_from_here(&config.app.url);
        let ctx = Context {
            id: CoordinatorId::load_or_make(&config.state_dir).map_err(StartError::Identity)?,
            api: WorkerApi::new(&app_url, config.app.key.clone(), USER_AGENT)?,
            alias,
            engine: Engine::new(config.engine.host.as_deref()),
            ledger: Ledger::open(&config.state_dir)?,
            images: ProjectImages::new(&config.state_dir, config.agent.image.clone()),
            mode,
            stop,
            config,
        };
        Ok(Self {
            slots: Slots::new(ctx.config.schedule.max_concurrent),
            claimer: Claimer::new(&ctx.config.projects),
            tasks: TaskTracker::new(),
            failures: Arc::default(),
            status: Status::default(),
            settings_read: None,
            ctx: Arc::new(ctx),
            _lock: lock,
        })
    }

    /// Takes up what was left, then claims jobs until it is stopped; tells how many failed.
    pub(crate) async fn run(mut self) -> Result<usize, StartError> {
        self.recover().await?;
        self.status.ready();
        self.claim_jobs().await;
        if self.ctx.stop.is_cancelled() {
            self.status.stopping();
        }
        self.tasks.close();
        self.tasks.wait().await;
        Ok(self.failures.load(Ordering::Relaxed))
    }

    async fn recover(&self) -> Result<(), StartError> {
        let records = adopt::load(&self.ctx.ledger)?;
        if let Err(error) = adopt::remove_orphans(&self.ctx, &records).await {
            tracing::warn!(%error, "containers without a record were not looked for");
        }
        for record in records {
            match adopt::adopt(&self.ctx, &self.slots, record).await {
                Adopted::Running(running) => {
                    let record = running.record.clone();
                    let ctx = Arc::clone(&self.ctx);
                    self.spawn(record, async move { carry_on(&ctx, *running).await });
                }
                Adopted::Finished(finished) => self.spawn_report(finished),
            }
        }
        Ok(())
    }

    async fn claim_jobs(&mut self) {
        let stop = self.ctx.stop.clone();
        while let Some(slot) = stop.run_until_cancelled(self.next_slot()).await {
            // Not raced against the stop: an answer that is on its way may carry a job.
            match self.claimer.round(&self.ctx, slot).await {
                Round::Job(claimed) => {
                    self.status.working(self.slots.used(), self.slots.limit().get());
                    self.spawn_job(*claimed);
                    if self.ctx.mode == Mode::Once {
                        return;
                    }
                    continue;
                }
                Round::Lost(record, outcome) => {
                    self.spawn_report(Finished { record, outcome, tail: String::new() });
                    continue;
                }
                Round::Nothing => {
                    self.status.idle(self.slots.used(), self.slots.limit().get());
                    if self.ctx.mode == Mode::Once {
                        tracing::info!("no job waits");
                        return;
                    }
                }
                Round::Held(reason) => self.status.held(&reason),
                Round::Trouble(error) => self.status.trouble(&error),
            }
            let pause = jittered(self.pause());
            stop.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// A free slot, counted by the limit that the app has set lately.
    async fn next_slot(&mut self) -> Slot {
        if self.settings_read.is_none_or(|at| at.elapsed() > SETTINGS_AGE) {
            self.follow_app_settings().await;
        }
        self.slots.reserve().await
    }

    async fn follow_app_settings(&mut self) {
        self.settings_read = Some(Instant::now());
        match self.ctx.api.settings().await {
            Ok(settings) => {
                let own = self.ctx.config.schedule.max_concurrent;
                let limit = settings.max_concurrent_agents.unwrap_or(own);
                if limit != self.slots.limit() {
                    tracing::info!(limit, "the number of slots is now {limit}");
                    self.slots.set_limit(limit);
                }
            }
            Err(error) => tracing::debug!(%error, "the app's settings were not read"),
        }
    }

    fn pause(&self) -> Duration {
        let poll = self.ctx.config.schedule.poll_interval;
        if self.status.in_trouble() { poll * TROUBLE_FACTOR } else { poll }
    }

    fn spawn_job(&self, claimed: Claimed) {
        let record = claimed.record.clone();
        let ctx = Arc::clone(&self.ctx);
        self.spawn(record, async move { carry_out(&ctx, claimed).await });
    }

    /// Runs a job's stages and its report as one owned task; a panic becomes an outcome.
    fn spawn(
        &self,
        record: Record,
        stages: impl Future<Output = Option<Finished>> + Send + 'static,
    ) {
        let (ctx, failures) = (Arc::clone(&self.ctx), Arc::clone(&self.failures));
        self.tasks.spawn(async move {
            let finished = match AssertUnwindSafe(stages).catch_unwind().await {
                Ok(finished) => finished,
                Err(_) => Some(panicked(&ctx, record).await),
            };
            if let Some(finished) = finished {
                failures.fetch_add(usize::from(finished.outcome.is_failure()), Ordering::Relaxed);
                report(&ctx, finished).await;
            }
        });
    }

    fn spawn_report(&self, finished: Finished) {
        let record = finished.record.clone();
        self.spawn(record, async move { Some(finished) });
    }
}

/// A job whose task panicked ends as failed; its container goes with the clean-up.
async fn panicked(ctx: &Context, record: Record) -> Finished {
    let problem = "a task panicked; the log has the place".to_owned();
    let outcome = Outcome::Failed(Cause::Internal { problem });
    let record = record.at(Stage::Ended { outcome: outcome.clone() });
    if let Err(error) = ctx.ledger.write(&record).await {
        tracing::error!(job.id = %record.job.job_id, %error, "the outcome is kept in memory only");
    }
    Finished { record, outcome, tail: String::new() }
}

/// Between three quarters and five quarters of an interval, so that coordinators that were started
/// together do not ask together.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.75 + fastrand::f64() / 2.0)
}
