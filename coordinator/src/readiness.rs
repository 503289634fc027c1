//! Whether a job could be run if we claimed one now. Nothing is claimed while it could not: the
//! queue is left alone.

mod image;
mod proof;
mod room;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use api_client::{JobId, ProjectId, error_chain};
use nix::sys::statvfs::statvfs;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::breaker::Dependency;
use crate::config::{AgentConfig, Config, HostFallback};
use crate::context::Context;
use crate::engine::{EngineError, EngineFacts};
use crate::forge_token;
use crate::home_engine::{AnotherEngine, EngineSeen};
use crate::images::ImagesError;
use crate::ledger::LedgerError;
use image::{NoImage, check_images};
use proof::Proofs;
use room::Shares;
pub(crate) use room::{Room, room};

/// The forge that knew the GitHub App is believed for this long, and one that did not, or was away, is
/// left alone for that long.
const APP_GOOD: Duration = Duration::from_secs(600);
const APP_PAUSE: Duration = Duration::from_secs(30);

/// After a start the leases of the jobs that were taken up are renewed at once: that is worth waiting.
const RENEWAL: Duration = Duration::from_secs(2);

/// Why nothing can be claimed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("the state directory cannot be written")]
    StateDirectory(#[source] LedgerError),
    #[error(
        "{} has {free_mib} MiB free, and DISK_FLOOR_MIB asks for {floor_mib}: make room",
        path.display()
    )]
    Disk { path: PathBuf, free_mib: u64, floor_mib: u64 },
    #[error("{waiting} outcomes wait for the app, and OUTBOX_MAX allows {max}")]
    Outbox { waiting: usize, max: usize },
    #[error("the app has not yet confirmed that the jobs we hold are still ours")]
    Leases,
    #[error(
        "the app gives job {job} anew, which is held under an earlier claim: that is ended first"
    )]
    HeldStill { job: JobId },
    #[error("{dependency} failed too often in a row: it is left alone for a while (BREAKER_OPEN)")]
    Breaker { dependency: Dependency },
    #[error("agents would get no token of the forge: {problem}")]
    GitHubApp { problem: String },
    #[error("the Docker Engine does not answer")]
    Engine(#[source] EngineError),
    #[error("{0}")]
    AnotherEngine(AnotherEngine),
    #[error("the images of projects are not known")]
    ProjectImages(#[source] ImagesError),
    #[error(transparent)]
    Image(#[from] NoImage),
    #[error("this engine does not give what AGENT_DOCKER_MODE={mode} needs: {cure} ({problem})")]
    Mode { mode: &'static str, problem: String, cure: String },
    #[error(
        "{setting} lets a job take {need_mib} MiB, and beside what the jobs that run may still take \
         {left_mib} MiB are left on the engine's host: wait for them, make room, or lower it"
    )]
    Room { setting: &'static str, need_mib: u64, left_mib: u64 },
    #[error(
        "{setting} lets a job take {need_mib} MiB, and the engine's host has {whole_mib} MiB \
         altogether: lower it"
    )]
    TooLarge { setting: &'static str, need_mib: u64, whole_mib: u64 },
    #[error(
        "the app may give another job of project {project}, and it would fail: {reason}; to have the \
         other projects served meanwhile, name them by PROJECT_IDS"
    )]
    OfProject { project: ProjectId, reason: Box<NotReady> },
}

impl NotReady {
    /// Whether jobs would fail for it until someone mends the settings, or what they ask for.
    pub(crate) const fn fails_jobs(&self) -> bool {
        match self {
            Self::Image(image) => image.is_missing(),
            Self::Mode { .. } | Self::TooLarge { .. } => true,
            _ => false,
        }
    }

    /// The same for the same reason, however its details change.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Disk { .. } => "disk".to_owned(),
            Self::Outbox { .. } => "outbox".to_owned(),
            Self::GitHubApp { .. } => "github-app".to_owned(),
            Self::Mode { mode, .. } => (*mode).to_owned(),
            Self::Room { setting, .. } => (*setting).to_owned(),
            Self::OfProject { project, reason } => format!("{project} {}", reason.key()),
            other => other.to_string(),
        }
    }
}

/// Asks before each claim.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// Whether the engine that answers now was seen to be ours.
    home: bool,
    /// Of that engine.
    facts: Option<EngineFacts>,
    /// Of that engine as well.
    proofs: Proofs,
    /// What the jobs that run may take and have taken.
    running: Vec<Shares>,
    github_app: Option<AskedOfApp>,
}

/// What the forge said when it was asked for the GitHub App of these settings.
#[derive(Debug)]
struct AskedOfApp {
    config: Arc<Config>,
    at: Instant,
    /// [`Context::app_doubts`] when it was asked.
    doubts: usize,
    problem: Option<String>,
}

impl Readiness {
    /// Whether any job could be run now.
    pub(crate) async fn check(&mut self, ctx: &Context) -> Result<(), NotReady> {
        let config = ctx.config();
        let floor = config.limits.disk_floor;
        check_disk(&ctx.state_dir, floor).await?;
        ctx.ledger.probe().await.map_err(NotReady::StateDirectory)?;
        let (waiting, max) = (ctx.board.outcomes_waiting(), config.limits.outbox_max.get());
        if waiting > max {
            return Err(NotReady::Outbox { waiting, max });
        }
        if !leases_confirmed(ctx).await {
            return Err(NotReady::Leases);
        }
        if config.host.fallback != HostFallback::Always {
            ctx.breakers.allow(Dependency::Engine)?;
            let answer = ctx.engine.ping().await;
            ctx.breakers.note(Dependency::Engine, &ctx.board, answer.is_ok());
            if answer.is_err() {
                // Another one may answer next.
                self.home = false;
                self.facts = None;
                self.proofs.clear();
            }
            answer.map_err(NotReady::Engine)?;
            self.look_whether_at_home(ctx).await?;
            self.look_at_engine_host(ctx, &config).await?;
        }
        self.check_github_app(ctx, &config).await?;
        if config.host.fallback != HostFallback::Always {
            ctx.breakers.allow(Dependency::Launch)?;
        }
        ctx.breakers.allow(Dependency::App)
    }

    /// Whether the forge knows the GitHub App: a key that is wrong, or a forge that is away, would fail
    /// every job. Whether it is installed on a repository concerns that job alone.
    async fn check_github_app(
        &mut self,
        ctx: &Context,
        config: &Arc<Config>,
    ) -> Result<(), NotReady> {
        if config.github_app.is_none() {
            return Ok(());
        }
        let doubts = ctx.app_doubts.load(Ordering::Relaxed);
        let known = self.github_app.as_ref().filter(|asked| {
            let good_for = if asked.problem.is_some() { APP_PAUSE } else { APP_GOOD };
            let believed = asked.problem.is_some() || asked.doubts == doubts;
            Arc::ptr_eq(&asked.config, config) && asked.at.elapsed() < good_for && believed
        });
        if known.is_none() {
            let answer = forge_token::verify(ctx, config).await;
            let problem = answer.err().map(|error| error_chain(&error));
            let (config, at) = (Arc::clone(config), Instant::now());
            self.github_app = Some(AskedOfApp { config, at, doubts, problem });
        }
        match self.github_app.as_ref().and_then(|asked| asked.problem.clone()) {
            Some(problem) => Err(NotReady::GitHubApp { problem }),
            None => Ok(()),
        }
    }

    /// Whether the engine has, and gives, the containers that a job of this project, or of any, may
    /// need, and its host the room, by what [`Self::check`] has seen. It returns at once when the
    /// coordinator is to stop, whatever it is then.
    pub(crate) async fn check_container(
        &mut self,
        ctx: &Context,
        project: Option<ProjectId>,
    ) -> Result<(), NotReady> {
        // A pull takes as long as it makes progress.
        let images = ctx.pulse.while_waiting(Box::pin(check_images(ctx, project)));
        match ctx.shutdown.claims.run_until_cancelled(images).await {
            None => return Ok(()),
            Some(images) => images?,
        }
        if ctx.config().host.fallback == HostFallback::Always {
            return Ok(());
        }
        if let Some(facts) = &self.facts {
            check_room(facts, &ctx.config(), project, &self.running)?;
        }
        Box::pin(self.proofs.have(ctx, project)).await
    }

    /// Whether the jobs that run are on the engine that answers.
    async fn look_whether_at_home(&mut self, ctx: &Context) -> Result<(), NotReady> {
        if !self.home {
            match ctx.see_engine().await.map_err(NotReady::Engine)? {
                EngineSeen::Home => self.home = true,
                EngineSeen::Another(another) => return Err(NotReady::AnotherEngine(another)),
            }
        }
        Ok(())
    }

    /// Whether the engine's host has the space that has to stay free, and what the jobs on it take.
    async fn look_at_engine_host(
        &mut self,
        ctx: &Context,
        config: &Config,
    ) -> Result<(), NotReady> {
        let limited =
            |agent: &AgentConfig| agent.limits.memory.is_some() || agent.limits.disk.is_some();
        let floor = config.limits.disk_floor;
        if floor == 0 && !config.agents().any(limited) {
            return Ok(());
        }
        if self.facts.is_none() {
            // An engine that answers, and not this question, is no reason to stand still.
            self.facts = ctx.engine.facts().await.ok();
        }
        let Some(facts) = &self.facts else { return Ok(()) };
        if let Some(folder) = facts.folder.as_deref().filter(|folder| folder.is_dir()) {
            ctx.board.engine_in(folder);
            check_disk(folder, floor).await?;
        }
        self.running = room::running(ctx, config).await;
        Ok(())
    }
}

/// Why no container can be had for a job of this project, which is held by now: its image, pulled where
/// that is wanted, and its own limits. What only a start can show the start shows, and so it does with
/// what may pass.
pub(crate) async fn unfit(ctx: &Context, project: ProjectId) -> Option<NotReady> {
    match check_images(ctx, Some(project)).await {
        Ok(()) => {}
        Err(reason) if reason.fails_jobs() => return Some(reason),
        Err(reason) => {
            let reason = error_chain(&reason);
            tracing::warn!(project.id = %project, reason, "the job is started all the same");
        }
    }
    let config = ctx.config();
    if !config.of_projects.contains_key(&project) {
        return None;
    }
    let facts = ctx.engine.facts().await.ok()?;
    check_room(&facts, &config, Some(project), &[]).err().filter(NotReady::fails_jobs)
}

/// Whether the engine's host has room for one more job of this project, or of any.
fn check_room(
    facts: &EngineFacts,
    config: &Config,
    project: Option<ProjectId>,
    running: &[Shares],
) -> Result<(), NotReady> {
    let rooms = room(facts, config, project, running);
    match rooms.into_iter().find(|room| room.left < room.need) {
        None => Ok(()),
        Some(Room { setting, need, whole: Some(whole), .. }) if whole < need => {
            let (need_mib, whole_mib) = (need >> 20, whole >> 20);
            Err(NotReady::TooLarge { setting, need_mib, whole_mib })
        }
        Some(Room { setting, need, left, .. }) => {
            Err(NotReady::Room { setting, need_mib: need >> 20, left_mib: left >> 20 })
        }
    }
}

/// Whether the app has confirmed, or does so in a moment, that the jobs we hold are ours.
pub(crate) async fn leases_confirmed(ctx: &Context) -> bool {
    timeout(RENEWAL, ctx.leases.confirmed()).await.is_ok()
}

/// Whether the file system of the state directory has room for what jobs write there.
async fn check_disk(path: &Path, floor: u64) -> Result<(), NotReady> {
    if floor == 0 {
        return Ok(());
    }
    let asked = path.to_owned();
    // One that does not tell is no reason to stand still: the probe finds a disk that is full.
    let Ok(Ok(disk)) = spawn_blocking(move || statvfs(&asked)).await else { return Ok(()) };
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    if free >= floor {
        return Ok(());
    }
    let (free_mib, floor_mib) = (free >> 20, floor >> 20);
    Err(NotReady::Disk { path: path.to_owned(), free_mib, floor_mib })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn claims_are_held_below_the_disk_floor_and_not_without_one() {
        let dir = tempfile::tempdir().unwrap();
        check_disk(dir.path(), 0).await.unwrap();
        check_disk(dir.path(), 1).await.unwrap();
        let error = check_disk(dir.path(), u64::MAX).await.unwrap_err();
        assert!(error.to_string().contains("DISK_FLOOR_MIB"), "{error}");
    }
}
