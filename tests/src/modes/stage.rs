//! Jobs whose workers use Docker, held in their middle until they may go on.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Coordinator, Deployment, DockerMode, Engine, Job, Keys, SourceFile, within};

use super::worker_image;

/// What a worker does, and what its container does.
const WORK: &str = include_str!("work.sh");
const SERVER: &str = include_str!("server.pl");

/// How long a worker may take until it holds: with an engine to start and an image to make.
const HOLD_LIMIT: Duration = Duration::from_secs(120);

/// What a worker does with its container, image, volume and network in the end.
#[derive(Clone, Copy, Debug)]
pub(super) enum After {
    /// Removes them.
    Tidy,
    /// Leaves them.
    Leave,
}

/// A whole system for jobs in one mode.
pub(super) struct Stage {
    pub(super) deployment: Deployment,
    /// The name of all that the workers make.
    pub(super) name: String,
}

impl Stage {
    /// The workers publish `port`, which they find at `host`.
    pub(super) async fn set(
        engine: &Engine,
        mode: DockerMode,
        (host, port): (&str, u16),
        after: After,
    ) -> Self {
        let unique = || uuid::Uuid::new_v4().simple().to_string();
        let keys = Keys { forge: unique(), worker_api: unique(), model: unique() };
        let name = format!("terarchitect-modes-{}", &unique()[..8]);
        let after = match after {
            After::Tidy => "tidy",
            After::Leave => "leave",
        };
        let arguments = format!("{name} {port} {host} {after}");
        let files: [SourceFile<'_>; 3] =
            [("work.sh", WORK), ("server.pl", SERVER), ("arguments", &arguments)];
        let mut deployment =
            Deployment::start(engine, worker_image::IMAGE, mode, &keys, &files).await;
        // What a killed run leaves has its own time on a host.
        deployment.home.set("WORKER_MODE", "claude-code").set("STATE_KEEP_AGE", "0");
        Self { deployment, name }
    }

    /// Starts the coordinator.
    pub(super) fn coordinator(&mut self) -> Coordinator {
        self.deployment.coordinator("")
    }

    /// Puts two jobs into the queue.
    pub(super) async fn two_jobs(&self) -> [Job; 2] {
        [self.deployment.add_job("one").await, self.deployment.add_job("two").await]
    }

    /// Waits until a worker holds.
    pub(super) async fn held(&self, job: &Job) {
        within(HOLD_LIMIT, "a worker that holds", async || {
            if let "failed" | "completed" = self.status(job).await.as_str() {
                panic!("the job ended early:\n{}", self.log(job));
            }
            self.folder(job).await?.join(format!("{}.held", self.name)).exists().then_some(())
        })
        .await;
    }

    /// Lets a worker go on.
    pub(super) async fn release(&self, job: &Job) {
        let folder = self.folder(job).await.expect("it holds");
        fs::write(folder.join(format!("{}.go", self.name)), "").expect("a file in its container");
    }

    /// The end of a job that is released, and what its worker told.
    pub(super) async fn report(&self, job: &Job) -> String {
        let ended = self.deployment.app.ended(job.job_id).await;
        assert_eq!(ended.status, "completed", "{:?}\n{}", ended.fail_reason, self.log(job));
        let repository = self.deployment.forge.repo_path(&self.deployment.repo);
        let file = format!("refs/heads/ticket-{}:report.txt", job.ticket_id);
        let git =
            Command::new("git").arg("--git-dir").arg(repository).args(["show", &file]).output();
        let git = git.expect("git");
        assert!(git.status.success(), "{git:?}\n{}", self.log(job));
        String::from_utf8(git.stdout).expect("text")
    }

    /// Ends the coordinator once it holds no job.
    pub(super) async fn end(&self, coordinator: Coordinator) {
        self.deployment.settled().await;
        coordinator.terminate().await;
    }

    /// What a worker's engine shows of its containers: names and ports.
    pub(super) async fn containers_inside(&self, job: &Job) -> String {
        let list = ["docker", "ps", "--format", "{{.Names}} {{.Ports}}"];
        self.deployment.engine.exec(job.job_id, "agent", &list).await
    }

    /// By what the things are known that were made for these jobs, while they run: see
    /// [`Scope::Jobs`](super::Scope).
    pub(super) async fn marks(&self, jobs: &[Job]) -> Vec<String> {
        let mut marks = vec![self.name.clone()];
        for job in jobs {
            marks.push(job.job_id.to_string());
            let found = self.deployment.engine.inspect(job.job_id).await.expect("it holds");
            marks.extend(found.id);
            let mounts = found.mounts.unwrap_or_default();
            marks.extend(mounts.into_iter().filter_map(|mount| mount.name));
            let layers = found.graph_driver.unwrap_or_default().data;
            marks.extend(
                layers.into_iter().filter(|(name, _)| name == "MergedDir").map(|(_, path)| path),
            );
            let settings = found.network_settings.unwrap_or_default();
            marks.extend(settings.sandbox_key.filter(|key| !key.is_empty()));
            for network in settings.networks.unwrap_or_default().into_values() {
                // Bridges are called by the first half.
                marks.extend(network.network_id.and_then(|id| Some(id.get(..12)?.to_owned())));
            }
        }
        marks
    }

    pub(super) async fn status(&self, job: &Job) -> String {
        self.deployment.app.job(job.job_id).await.status
    }

    pub(super) fn log(&self, job: &Job) -> String {
        self.deployment.home.job_log(job.job_id)
    }

    /// The folder for temporary files in a job's container, as this host reaches it.
    async fn folder(&self, job: &Job) -> Option<PathBuf> {
        let pid = self.deployment.engine.inspect(job.job_id).await?.state?.pid?;
        (pid > 0).then(|| PathBuf::from(format!("/proc/{pid}/root/tmp")))
    }
}

/// A test that fails says what its jobs said.
impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.deployment.home.state_dir().join("logs");
            for log in fs::read_dir(logs).into_iter().flatten().flatten() {
                let text = fs::read_to_string(log.path()).unwrap_or_default();
                eprintln!("{}:\n{text}", log.path().display());
            }
        }
    }
}

/// Panics unless a report has a line that contains this.
pub(super) fn assert_told(report: &str, expected: &str) {
    assert!(report.lines().any(|line| line.contains(expected)), "no {expected:?} in:\n{report}");
}
