//! What every stage of a job works with. It is made once, by the daemon, and never changes.

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

use api_client::wire::AgentEnv;
use api_client::{JobId, Redactor, WorkerApi};
use tokio_util::sync::CancellationToken;

use crate::alias::AliasHere;
use crate::config::Config;
use crate::engine::Engine;
use crate::identity::CoordinatorId;
use crate::images::ProjectImages;
use crate::ledger::Ledger;

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
    pub(crate) config: Config,
    pub(crate) mode: Mode,
    pub(crate) id: CoordinatorId,
    pub(crate) alias: AliasHere,
    pub(crate) api: WorkerApi,
    pub(crate) engine: Engine,
    pub(crate) ledger: Ledger,
    pub(crate) images: ProjectImages,
    /// How many agents run on the host at present, without isolation.
    pub(crate) host_runs: AtomicUsize,
    /// Cancelled when the coordinator is to stop: containers are left running, to be adopted by
    /// the next start.
    pub(crate) stop: CancellationToken,
}

impl Context {
    /// Where the output of a job is kept.
    pub(crate) fn log_path(&self, job: JobId) -> PathBuf {
        self.config.state_dir.join("logs").join(format!("{job}.log"))
    }

    /// Hides the coordinator's own secrets, and those of the app's settings for a job.
    pub(crate) fn redactor(&self, of_app: &AgentEnv) -> Redactor {
        Redactor::new(self.config.settings_over(of_app).secrets())
    }
}
