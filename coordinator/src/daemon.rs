//! The daemon: wires the stages, owns every task and the token that stops them.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use api_client::{ClientError, WorkerApi, error_chain};
use futures_util::FutureExt;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::adopt::{self, Step};
use crate::alias::AliasHere;
use crate::claim::{Claimer, Round};
use crate::config::Config;
use crate::context::{Context, Mode};
use crate::engine::Engine;
use crate::identity::CoordinatorId;
use crate::images::ProjectImages;
use crate::job::{Adopted, Claimed, Finished};
use crate::ledger::{Ledger, LedgerError, LockError, Record, Stage, StateLock, make_private_dir};
use crate::notify::{Load, Status};
use crate::outcome::{Cause, Outcome};
use crate::output::tail_of_file;
use crate::report::report;
use crate::slot::{Slot, Slots};
use crate::work::{carry_on, carry_out};

/// The app's settings are asked for again after this long.
const SETTINGS_AGE: Duration = Duration::from_secs(30);

/// More slots than the configuration allows are not taken from the app either.
const SLOTS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

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
    orphans_removed: bool,
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
        let app_url = alias.rewrite(&config.app.url).unwrap_or_else(|| config.app.url.clone());
        let ctx = Context {
            id: CoordinatorId::load_or_make(&config.state_dir).map_err(StartError::Identity)?,
            api: WorkerApi::new(&app_url, config.app.key.clone(), USER_AGENT)?,
            alias,
            engine: Engine::new(config.engine.host.as_deref()),
            ledger: Ledger::open(&config.state_dir)?,
            images: ProjectImages::new(&config.state_dir, config.agent.image.clone()),
            host_runs: AtomicUsize::new(0),
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
            orphans_removed: false,
            ctx: Arc::new(ctx),
            _lock: lock,
        })
    }

    /// Takes up what was left, then claims jobs until it is stopped; tells how many of those that
    /// it claimed have failed.
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

    async fn recover(&mut self) -> Result<(), StartError> {
        for record in adopt::load(&self.ctx.ledger)? {
            let job = record.job.job_id;
            match adopt::plan(&record.stage) {
                Step::Watch => {
                    tracing::info!(job.id = %job, "job adopted");
                    // Its container runs already, so its slot may be one above the limit.
                    let adopted = Adopted { record: record.clone(), slot: self.slots.occupy() };
                    let ctx = Arc::clone(&self.ctx);
                    self.spawn(record, async move { carry_on(&ctx, adopted).await });
                }
                Step::Report(outcome) => {
                    tracing::info!(job.id = %job, "job taken up to be reported: {outcome}");
                    let tail = tail_of_file(&self.ctx.log_path(job)).await;
                    self.spawn_report(Finished { record, outcome, tail });
                }
            }
        }
        self.remove_orphans().await;
        Ok(())
    }

    /// Done once, as soon as the engine answers. Claims come after it, so that every container
    /// that is found has its record, or is an orphan.
    async fn remove_orphans(&mut self) {
        if self.orphans_removed {
            return;
        }
        let known = match adopt::load(&self.ctx.ledger) {
            Ok(records) => records.iter().map(|record| record.job.job_id).collect(),
            Err(error) => {
                let error = error_chain(&error);
                tracing::warn!(error, "containers without a record were not looked for");
                return;
            }
        };
        match adopt::remove_orphans(&self.ctx, &known).await {
            Ok(()) => self.orphans_removed = true,
            Err(error) => tracing::debug!(%error, "the engine cannot tell its containers yet"),
        }
    }

    async fn claim_jobs(&mut self) {
        let stop = self.ctx.stop.clone();
        while let Some(slot) = stop.run_until_cancelled(self.next_slot()).await {
            // Not raced against the stop: an answer that is on its way may carry a job.
            match self.claimer.round(&self.ctx, slot).await {
                Round::Job(claimed) => {
                    self.status.working(self.load());
                    self.spawn_job(*claimed);
                    match self.ctx.mode {
                        Mode::Once => return,
                        Mode::Forever => continue,
                    }
                }
                Round::Lost(finished) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    self.spawn_report(finished);
                    if self.ctx.mode == Mode::Once {
                        return;
                    }
                }
                Round::Nothing => {
                    self.status.idle(self.load());
                    if self.ctx.mode == Mode::Once {
                        tracing::info!("no job waits");
                        return;
                    }
                }
                Round::Held(reason) => self.status.held(&reason),
                Round::Trouble(error) => self.status.trouble(&error),
                Round::Stopped => return,
            }
            let pause = jittered(self.pause());
            stop.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// A free slot, by the limit that the app has set lately: it is asked for that while we wait.
    async fn next_slot(&mut self) -> Slot {
        loop {
            self.remove_orphans().await;
            if self.settings_read.is_none_or(|at| at.elapsed() > SETTINGS_AGE) {
                self.follow_app_settings().await;
            }
            if let Ok(slot) = timeout(SETTINGS_AGE, self.slots.reserve()).await {
                return slot;
            }
        }
    }

    fn load(&self) -> Load {
        Load {
            used: self.slots.used(),
            slots: self.slots.limit().get(),
            host_runs: self.ctx.host_runs.load(Ordering::Relaxed),
        }
    }

    async fn follow_app_settings(&mut self) {
        self.settings_read = Some(Instant::now());
        match self.ctx.api.settings().await {
            Ok(settings) => {
                let own = self.ctx.config.schedule.max_concurrent;
                let limit = settings.max_concurrent_agents.unwrap_or(own).min(SLOTS_MAX);
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
        let (ctx, failures) = (Arc::clone(&self.ctx), Arc::clone(&self.failures));
        self.spawn(record, async move {
            let finished = carry_out(&ctx, claimed).await;
            let failed = finished.as_ref().is_some_and(|finished| finished.outcome.is_failure());
            failures.fetch_add(usize::from(failed), Ordering::Relaxed);
            finished
        });
    }

    /// Runs a job's stages and its report as one owned task; a panic becomes an outcome.
    fn spawn(
        &self,
        record: Record,
        stages: impl Future<Output = Option<Finished>> + Send + 'static,
    ) {
        let ctx = Arc::clone(&self.ctx);
        self.tasks.spawn(async move {
            let finished = match AssertUnwindSafe(stages).catch_unwind().await {
                Ok(finished) => finished,
                Err(_) => Some(panicked(&ctx, record).await),
            };
            if let Some(finished) = finished {
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
        let error = error_chain(&error);
        tracing::error!(job.id = %record.job.job_id, error, "the outcome is kept in memory only");
    }
    Finished { record, outcome, tail: String::new() }
}

/// Between three quarters and five quarters of an interval, so that coordinators that were started
/// together do not ask together.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.75 + fastrand::f64() / 2.0)
}
