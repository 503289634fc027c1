//! What every stage of a job works with. It is made once, by the daemon; only what an operator may
//! change while it runs is read anew each time it is used.

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use api_client::wire::AgentEnv;
use api_client::{CallObserver, JobId, Redactor, WorkerApi};
use tokio::sync::Notify;

use crate::alias::AliasHere;
use crate::board::{Board, JobStage};
use crate::breakers::Breakers;
use crate::calls::Calls;
use crate::config::{self, Config, Form, HostFallback, JobOutput, Report};
use crate::engine::{ContainerRef, Engine, EngineError};
use crate::gate::Gate;
use crate::health::DiskLooks;
use crate::home_engine::{Containers, EngineSeen, HomeEngine};
use crate::housekeeping::{FirstSeen, Measured};
use crate::identity::CoordinatorId;
use crate::images::ProjectImages;
use crate::launch::{gateway_name, label};
use crate::lease::Leases;
use crate::ledger::{Ledger, Record};
use crate::logging::{JobLines, Log};
use crate::notification::Notifier;
use crate::pulls::Pulls;
use crate::pulse::Pulse;
use crate::shutdown::Shutdown;
use crate::supervise::DiskSeen;
use crate::traces::Traces;

/// How long the coordinator works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Until it is stopped.
    Forever,
    /// Until one job is reported, or none waits.
    Once,
}

/// The coordinator's surroundings.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) live: Live,
    pub(crate) state_dir: PathBuf,
    pub(crate) mode: Mode,
    pub(crate) id: CoordinatorId,
    pub(crate) alias: AliasHere,
    pub(crate) engine: Engine,
    pub(crate) home_engine: HomeEngine,
    pub(crate) ledger: Ledger,
    pub(crate) images: ProjectImages,
    pub(crate) pulls: Pulls,
    pub(crate) leases: Arc<Leases>,
    pub(crate) gate: Gate,
    pub(crate) board: Board,
    pub(crate) breakers: Breakers,
    pub(crate) pulse: Pulse,
    pub(crate) first_seen: FirstSeen,
    pub(crate) measured: Measured,
    pub(crate) disk_seen: DiskSeen,
    /// The looks at the disks for whoever asks how it is.
    pub(crate) disk_looks: DiskLooks,
    /// How many agents run on the host at present, without isolation.
    pub(crate) host_runs: AtomicUsize,
    /// How often the GitHub App that the forge had confirmed gave a job no token all the same.
    pub(crate) app_doubts: AtomicUsize,
    pub(crate) shutdown: Shutdown,
    /// When this process began, in seconds since 1970.
    pub(crate) started: u64,
    pub(crate) notifier: Notifier,
    pub(crate) traces: Traces,
    /// The log, in a process that keeps one.
    pub(crate) log: OnceLock<Log>,
}

/// What an operator may change while the coordinator runs.
#[derive(Debug)]
pub(crate) struct Live {
    now: RwLock<(Arc<Config>, WorkerApi)>,
    changed: Notify,
    /// The settings as `config --json` prints them, in a process that keeps them.
    settings: Mutex<Option<String>>,
    app_calls: Arc<Calls>,
}

impl Live {
    /// These settings, and the client that follows from them.
    pub(crate) fn new(api: WorkerApi, config: Config) -> Self {
        let app_calls = Arc::new(Calls::new());
        let api = api.observed_by(Arc::clone(&app_calls) as Arc<dyn CallObserver>);
        Self {
            now: RwLock::new((Arc::new(config), api)),
            changed: Notify::new(),
            settings: Mutex::default(),
            app_calls,
        }
    }

    /// Puts others in their place, and wakes those who wait for a mended key.
    pub(crate) fn replace(&self, config: Config, api: WorkerApi) {
        let api = api.observed_by(Arc::clone(&self.app_calls) as Arc<dyn CallObserver>);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = (Arc::new(config), api);
        self.changed.notify_waiters();
    }

    /// Keeps what may be shown of the settings.
    pub(crate) fn note_settings(&self, report: &Report) {
        let text = config::print(report, Form::Json);
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// What may be shown of the settings, as `config --json` prints it.
    pub(crate) fn settings(&self) -> Option<String> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the calls to the app came to.
    pub(crate) fn app_calls(&self) -> &Calls {
        &self.app_calls
    }

    /// Waits until the settings change.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Context {
    /// The settings as they are now.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.live.now.read().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// The app's API, with the key as it is now.
    pub(crate) fn api(&self) -> WorkerApi {
        self.live.now.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// What the calls to the engine came to; none where every job runs on this host, so that there need
    /// not be one.
    pub(crate) fn engine_calls(&self) -> Option<&Calls> {
        (self.config().host.fallback != HostFallback::Always).then(|| self.engine.calls())
    }

    /// Whether the jobs that are held have their containers on the engine that answers.
    pub(crate) async fn see_engine(&self) -> Result<EngineSeen, EngineError> {
        let in_container =
            |stage| matches!(stage, JobStage::Held | JobStage::InContainer | JobStage::Stopping);
        let jobs = self.board.snapshot().jobs.into_iter();
        let containers = Containers::of(jobs.filter(|job| in_container(job.stage)).map(drop));
        self.home_engine.see(&self.engine, containers).await
    }

    /// Where the output of a job is kept.
    pub(crate) fn log_path(&self, job: JobId) -> PathBuf {
        self.state_dir.join("logs").join(format!("{job}.log"))
    }

    /// Where a job's keeper on this host keeps its notes.
    pub(crate) fn host_dir(&self, job: JobId) -> PathBuf {
        self.state_dir.join("host").join(job.to_string())
    }

    /// The way of a job's output to the journal, where the operator wants it there.
    pub(crate) fn journal_of(&self, record: &Record) -> Option<JobLines> {
        match self.config().log.job_output {
            JobOutput::File => None,
            JobOutput::Journal => self.log.get().map(|log| log.lines_of(record)),
        }
    }

    /// Hides the coordinator's own secrets, and those of the app's settings for a job.
    pub(crate) fn redactor(&self, of_app: &AgentEnv) -> Redactor {
        Redactor::new(self.config().secrets(of_app))
    }

    /// Removes a job's container and what was made for it, as far as it is ours.
    pub(crate) async fn remove_container(&self, job: JobId) -> Result<(), EngineError> {
        self.remove_ours(&ContainerRef::of(job)).await?;
        self.remove_surroundings(job).await
    }

    /// Removes what was made for a job's container: the gateway, then the network.
    pub(crate) async fn remove_surroundings(&self, job: JobId) -> Result<(), EngineError> {
        self.remove_ours(&Self::gateway_of(job)).await?;
        let labels =
            [format!("{}={}", label::COORDINATOR, self.id), format!("{}={job}", label::JOB)];
        Box::pin(self.engine.remove_networks(&labels)).await
    }

    /// The gateway beside a job's container.
    pub(crate) fn gateway_of(job: JobId) -> ContainerRef {
        ContainerRef::named(gateway_name(job))
    }

    async fn remove_ours(&self, name: &ContainerRef) -> Result<(), EngineError> {
        let id = self.id.to_string();
        Box::pin(self.engine.remove_labelled(name, label::COORDINATOR, &id)).await
    }
}
