//! The daemon: wires the stages, owns every task and the tokens that stop them.

mod background;
mod claiming;
mod ending;

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use api_client::otlp::SetUpError;
use api_client::{ClientError, JobId, WorkerApi, error_chain};
use futures_util::FutureExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::adopt::{self, Step};
use crate::alias::AliasHere;
use crate::board::Board;
use crate::breakers::Breakers;
use crate::claim::Claimer;
use crate::clock;
use crate::config::{AppConfig, Config};
use crate::context::{Context, Live, Mode};
use crate::engine::Engine;
use crate::gate::Gate;
use crate::health::DiskLooks;
use crate::home_engine::HomeEngine;
use crate::housekeeping::{FirstSeen, Measured};
use crate::identity::CoordinatorId;
use crate::images::ProjectImages;
use crate::job::{Adopted, Claimed, Finished};
use crate::lease::Leases;
use crate::ledger::{
    ClaimIntent, Happened, Ledger, LedgerError, LockError, Record, Stage, StateLock,
    make_private_dir,
};
use crate::logging::{Log, job_span};
use crate::notification::Notifier;
use crate::notify::Status;
use crate::outcome::{Cause, Outcome};
use crate::output::tail_of_file;
use crate::pulls::Pulls;
use crate::pulse::Pulse;
use crate::report::report;
use crate::resume::resume;
use crate::shutdown::Shutdown;
use crate::slot::Slots;
use crate::supervise::DiskSeen;
use crate::traces::Traces;
use crate::work::{carry_on, carry_out};

/// Name of this program and its version, for the app's log.
const USER_AGENT: &str = concat!("terarchitect-coordinator/", env!("CARGO_PKG_VERSION"));

/// At the start the engine is waited for no longer than this.
const ENGINE_PATIENCE: Duration = Duration::from_secs(5);

/// No longer is waited for the removal of what is left of jobs that no one knows.
const REMOVALS: Duration = Duration::from_secs(30);

/// The daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("cannot keep an identity in the state directory")]
    Identity(#[source] std::io::Error),
    #[error("cannot read which engine was used")]
    HomeEngine(#[source] std::io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Traces(#[from] SetUpError),
}

/// The running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    ctx: Arc<Context>,
    slots: Slots,
    claimer: Claimer,
    /// One for each job.
    tasks: TaskTracker,
    /// What goes on beside the jobs, and the token that ends it.
    background: (TaskTracker, CancellationToken),
    undelivered: Arc<AtomicUsize>,
    status: Status,
    settings_read: Option<Instant>,
    /// How many jobs may run at once, as the app said last.
    slots_of_app: Option<NonZeroUsize>,
    _lock: StateLock,
}

impl Daemon {
    /// Takes the state directory and prepares everything; talks to no one yet.
    pub(crate) fn new(config: Config, mode: Mode) -> Result<Self, StartError> {
        let state_dir = config.state_dir.clone();
        let lock = StateLock::take(&state_dir)?;
        make_private_dir(&state_dir.join("logs"))?;
        let alias = AliasHere::look_up();
        let slots = Slots::new(config.schedule.max_concurrent);
        let claimer = Claimer::new(&config.projects, ClaimIntent::load(&state_dir)?);
        let id = CoordinatorId::load_or_make(&state_dir).map_err(StartError::Identity)?;
        let ctx = Context {
            id,
            notifier: Notifier::default(),
            traces: Traces::new(&config.traces, config.app.network.anonymous(), id)?,
            alias,
            engine: Engine::new(config.engine.host.as_deref()),
            home_engine: HomeEngine::load(&state_dir).map_err(StartError::HomeEngine)?,
            ledger: Ledger::open(&state_dir)?,
            images: ProjectImages::new(&state_dir),
            pulls: Pulls::default(),
            leases: Arc::new(Leases::default()),
            gate: Gate::open(&state_dir)?,
            board: Board::default(),
            breakers: Breakers::new(&config.breaker),
            pulse: Pulse::default(),
            first_seen: FirstSeen::default(),
            measured: Measured::default(),
            disk_seen: DiskSeen::default(),
            disk_looks: DiskLooks::default(),
            host_runs: AtomicUsize::new(0),
            app_doubts: AtomicUsize::new(0),
            mode,
            shutdown: Shutdown::default(),
            started: clock::now(),
            log: OnceLock::new(),
            live: Live::new(api_of(&config.app, alias)?, config),
            state_dir,
        };
        ctx.board.slots(slots.limit().get());
        Ok(Self {
            slots,
            claimer,
            tasks: TaskTracker::new(),
            background: Default::default(),
            undelivered: Arc::default(),
            status: Status::default(),
            settings_read: None,
            slots_of_app: None,
            ctx: Arc::new(ctx),
            _lock: lock,
        })
    }

    /// What the stages work with.
    pub(crate) fn context(&self) -> Arc<Context> {
        Arc::clone(&self.ctx)
    }

    /// This is the log from now on.
    pub(crate) fn log_by(&self, log: Log) {
        // It is given once.
        let _given = self.ctx.log.set(log);
    }

    /// Takes up what was left, then claims jobs until it is stopped; tells how many of those that
    /// it claimed did not deliver.
    pub(crate) async fn run(mut self) -> Result<usize, StartError> {
        self.recover().await?;
        self.begin_background();
        self.status.ready();
        self.claim_jobs().await;
        self.end().await;
        Ok(self.undelivered.load(Ordering::Relaxed))
    }

    async fn recover(&mut self) -> Result<(), StartError> {
        let mut records = adopt::load(&self.ctx.ledger)?;
        let asked = timeout(ENGINE_PATIENCE, adopt::containers(&self.ctx, &records)).await;
        let containers = asked.ok().and_then(Result::ok).flatten();
        if containers.is_some() {
            records = adopt::identify(&self.ctx, records).await;
        }
        self.claimer.forget_intent_of(&records);
        let plan = adopt::plan(records, containers.as_ref());
        for (record, step) in plan.steps {
            self.take_up(record, step).await;
        }
        if timeout(REMOVALS, self.remove(plan.remove)).await.is_err() {
            tracing::warn!("the engine is slow: what it has left is left to the housekeeping");
        }
        Ok(())
    }

    async fn remove(&self, orphans: Vec<JobId>) {
        for job in orphans {
            tracing::warn!(job.id = %job, "removing a container without a record");
            if let Err(error) = self.ctx.remove_container(job).await {
                let error = error_chain(&error);
                tracing::warn!(job.id = %job, error, "it stays for the housekeeping");
            }
        }
    }

    async fn take_up(&mut self, record: Record, step: Step) {
        let job = record.job.job_id;
        let ctx = Arc::clone(&self.ctx);
        let span = job_span(&record);
        // Its agent may run already, so its slot may be one above the limit.
        let occupy = || self.slots.occupy();
        match step {
            Step::Watch => {
                tracing::info!(parent: &span, "job adopted");
                let adopted = Adopted { record: record.clone(), slot: occupy() };
                self.spawn(record, None, async move { carry_on(&ctx, adopted).await });
            }
            Step::Resume => {
                tracing::info!(parent: &span, "job to be started: no agent had it yet");
                let (claimed, slot) = (record.clone(), occupy());
                self.spawn(record, None, async move { resume(&ctx, claimed, slot).await });
            }
            Step::Report(outcome) => {
                // What had ended before was counted by the process that saw it.
                if !matches!(record.stage, Stage::Ended { .. }) {
                    ctx.board.job_ended(&outcome, None);
                }
                tracing::info!(parent: &span, "job taken up to be reported: {outcome}");
                let tail = tail_of_file(&self.ctx.log_path(job)).await;
                let record = record.at(Stage::Ended { outcome: outcome.clone() });
                let record = record.noted(Happened::Adopted).noted_ended();
                self.spawn_report(Finished { record, outcome, tail }, None);
            }
        }
    }

    fn spawn_job(&self, claimed: Claimed) {
        let record = claimed.record.clone();
        let (ctx, undelivered) = (Arc::clone(&self.ctx), Arc::clone(&self.undelivered));
        self.spawn(record, Some(Instant::now()), async move {
            let finished = Box::pin(carry_out(&ctx, claimed)).await;
            let outcome = finished.as_ref().map(|finished| &finished.outcome);
            let counts = matches!(outcome, Some(Outcome::Failed(_) | Outcome::Parked(_)));
            undelivered.fetch_add(usize::from(counts), Ordering::Relaxed);
            finished
        });
    }

    /// Runs a job's stages and its report as one owned task, and keeps its lease meanwhile; a panic
    /// becomes an outcome. `confirmed` is when the app last said that the job is ours.
    fn spawn(
        &self,
        record: Record,
        confirmed: Option<Instant>,
        stages: impl Future<Output = Option<Finished>> + Send + 'static,
    ) {
        let ctx = Arc::clone(&self.ctx);
        ctx.board.job_began(&record);
        // Held from now on, so that no claim comes before the app has confirmed it.
        let held = ctx.leases.hold(&record, confirmed);
        let span = job_span(&record);
        let life = async move {
            let lease = record.lease;
            let job = record.job.job_id;
            let life = async {
                let finished = match AssertUnwindSafe(stages).catch_unwind().await {
                    Ok(finished) => finished,
                    Err(_) => Some(panicked(&ctx, &record).await),
                };
                if let Some(finished) = finished {
                    report(&ctx, finished).await;
                }
            };
            tokio::select! {
                () = life => {}
                never = held.keep(&ctx, lease) => match never {},
            }
            ctx.board.job_done(job);
        };
        self.tasks.spawn(life.instrument(span));
    }

    fn spawn_report(&self, finished: Finished, confirmed: Option<Instant>) {
        let record = finished.record.clone();
        self.spawn(record, confirmed, async move { Some(finished) });
    }
}

/// The client of the app, as this host sees it.
pub(crate) fn api_of(app: &AppConfig, alias: AliasHere) -> Result<WorkerApi, ClientError> {
    let url = alias.rewrite(&app.url).unwrap_or_else(|| app.url.clone());
    WorkerApi::on(&app.network, &url, app.key.clone(), USER_AGENT)
}

/// A job whose task panicked ends as failed; its container goes with the clean-up.
async fn panicked(ctx: &Context, record: &Record) -> Finished {
    let problem = "a task panicked; the log has the place".to_owned();
    let outcome = Outcome::Failed(Cause::Internal { problem });
    ctx.board.job_ended(&outcome, None);
    Finished::without_words(&ctx.ledger, record, outcome).await
}
