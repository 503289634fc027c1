//! One setup: the neighbour is at work, the hostile worker tries, the successor comes after it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use api_client::ProjectId;

use super::canary::Canary;
use super::cli::{self, HostPrograms};
use super::outside;
use super::setup::Setup;
use super::verdict::{Things, of_report};
use crate::harness::{Deployment, Engine, Job, Keys, within};

/// The repository: the attempts, which the worker of a job is told to run.
const FILES: [(&str, &str); 13] = [
    ("README.md", "A repository for hostile workers.\n"),
    ("probe.sh", include_str!("attempts/probe.sh")),
    ("trying.sh", include_str!("attempts/trying.sh")),
    ("runner.sh", include_str!("attempts/runner.sh")),
    ("engine.sh", include_str!("attempts/engine.sh")),
    ("network.sh", include_str!("attempts/network.sh")),
    ("host.sh", include_str!("attempts/host.sh")),
    ("forge.sh", include_str!("attempts/forge.sh")),
    ("limits.sh", include_str!("attempts/limits.sh")),
    ("traps.sh", include_str!("attempts/traps.sh")),
    ("neighbour.sh", include_str!("attempts/neighbour.sh")),
    ("successor.sh", include_str!("attempts/successor.sh")),
    ("filler.sh", include_str!("attempts/filler.sh")),
];

/// Limits of each job, so that exhausting them takes seconds.
const LIMITS: [(&str, &str); 4] = [
    ("AGENT_MEMORY", "1g"),
    ("AGENT_PIDS", "1024"),
    ("AGENT_NOFILE", "2048"),
    ("AGENT_DISK", "1g"),
];

/// How long each job may take to the point at which it waits, or to its end.
const LIMIT: Duration = Duration::from_secs(600);

/// Tries everything, and returns what came of it.
pub async fn try_all(engine: &Engine, image: &str, setup: Setup) -> Things {
    let mut stage = Stage::set(engine, image, setup).await;
    let coordinator = stage.deployment.coordinator("");
    let neighbour = stage.job(stage.other_project, &stage.neighbours_work()).await;
    stage.held(&neighbour).await;

    let hostile = stage.job(stage.deployment.project, &stage.attempts(&neighbour).await).await;
    let log = stage.completed(&hostile).await;
    let report = stage.show(&hostile, "report.txt").expect("the worker's report");
    let mut things = of_report(&report);
    outside::look(&stage, &mut things, &hostile, &log).await;

    stage.let_go(&neighbour).await;
    let ended = stage.ended(&neighbour).await;
    let unharmed = stage.show(&neighbour, "neighbour.txt").as_deref() == Some("unharmed\n");
    outside::set(&mut things, "harm-neighbour", !(unharmed && ended == "completed"), "unharmed");

    let work = format!("bash successor.sh {}", stage.id);
    let successor = stage.job(stage.deployment.project, &work).await;
    stage.completed(&successor).await;
    things.extend(of_report(&stage.show(&successor, "report.txt").expect("its report")));

    let filler = stage.job(stage.deployment.project, "bash filler.sh").await;
    let reason = stage.ended(&filler).await;
    outside::set(&mut things, "fill-disk", !reason.contains("disk"), "limit");
    coordinator.terminate().await;
    things
}

/// Where it takes place.
pub(super) struct Stage {
    pub(super) deployment: Deployment,
    pub(super) canary: Canary,
    pub(super) setup: Setup,
    pub(super) keys: Keys,
    /// By which everything of this run is told from others: also a number of seconds.
    pub(super) id: u32,
    other_project: ProjectId,
    programs: Option<HostPrograms>,
}

impl Stage {
    async fn set(engine: &Engine, image: &str, setup: Setup) -> Self {
        let random = |prefix: &str| {
            let random: String = (0..40).map(|_| fastrand::alphanumeric()).collect();
            format!("{prefix}{random}")
        };
        let keys = Keys {
            forge: random("ghp_"),
            worker_api: random("wak_"),
            model: random("sk-hostile-"),
        };
        cli::build_image(engine, image).await;
        let mut deployment =
            Deployment::start(engine, cli::IMAGE, setup.mode(), &keys, &FILES).await;
        let other_project = deployment.add_project().await;
        for (name, value) in LIMITS.iter().chain(setup.settings()) {
            deployment.home.set(name, value);
        }
        deployment.home.set("MAX_CONCURRENT_AGENTS", "2").set("AGENT_DOOD_SHARED", "1");
        let id = fastrand::u32(10_000_000..100_000_000);
        let programs = setup.is_on_host().then(|| HostPrograms::install(&mut deployment.home));
        let canary = Canary::start().await;
        Self { deployment, canary, setup, keys, id, other_project, programs }
    }

    /// Puts a job into the queue whose worker runs a command.
    async fn job(&self, project: ProjectId, command: &str) -> Job {
        self.deployment.app.add_described_job(project, "Hostile", &cli::ticket(command)).await
    }

    /// Where a job's worker tells that it waits, and is told to go on; as it sees it.
    fn flags(&self) -> PathBuf {
        self.programs.as_ref().map_or_else(|| PathBuf::from("/tmp"), HostPrograms::flags)
    }

    fn neighbours_work(&self) -> String {
        let address = if self.setup.is_on_host() { "127.0.0.1" } else { "0.0.0.0" };
        format!("bash neighbour.sh {} {address} {}", self.id, self.flags().display())
    }

    /// The command of the hostile worker.
    async fn attempts(&self, neighbour: &Job) -> String {
        let on_host = self.setup.is_on_host();
        let Canary { everywhere, loopback, metadata, datagrams, .. } = &self.canary;
        let url = self.deployment.forge.url();
        let app = if on_host { "127.0.0.1" } else { "host.docker.internal" };
        let address = match on_host {
            true => Some("127.0.0.1".to_owned()),
            false => self.address_of(neighbour).await,
        };
        format!(
            "bash probe.sh id={id} mode={mode} host={host} forge={forge} app=http://{app}:{port} \
             canary={everywhere} datagrams={datagrams} loopback={loopback} metadata={metadata} \
             neighbour={neighbour} neighbour_address={address} neighbour_cache={cache} \
             keys={keys} traps={traps} link={link}",
            id = self.id,
            mode = if on_host { "host" } else { self.setup.mode().name() },
            host = url.host_str().unwrap_or_default(),
            forge = url.as_str().trim_end_matches('/'),
            port = self.deployment.app.port(),
            neighbour = neighbour.job_id,
            address = address.unwrap_or_default(),
            cache = self.deployment.cache_of(self.other_project),
            keys = self.deployment.keys_dir().display(),
            traps = self.traps_seen_inside().display(),
            link = if on_host { "lo" } else { "eth0" },
        )
    }

    async fn address_of(&self, job: &Job) -> Option<String> {
        let networks = self.deployment.engine.inspect(job.job_id).await?.network_settings?.networks;
        let addresses = networks.into_iter().flatten().filter_map(|(_, end)| end.ip_address);
        addresses.into_iter().find(|address| !address.is_empty())
    }

    /// Waits until a worker waits.
    async fn held(&self, job: &Job) {
        within(LIMIT, "a worker that waits", async || {
            let status = self.deployment.app.job(job.job_id).await.status;
            let log = || self.deployment.home.job_log(job.job_id);
            assert!(status != "failed", "a job ended early:\n{}", log());
            let mut path = self.flags().join("held");
            if !self.setup.is_on_host() {
                let pid = self.deployment.engine.inspect(job.job_id).await?.state?.pid?;
                path = PathBuf::from(format!("/proc/{pid}/root/tmp/held"));
            }
            path.exists().then_some(())
        })
        .await;
    }

    async fn let_go(&self, job: &Job) {
        if self.setup.is_on_host() {
            fs::write(self.flags().join("go"), "").expect("a file in a folder of ours");
        } else {
            self.deployment.engine.exec(job.job_id, "0", &["touch", "/tmp/go"]).await;
        }
    }

    /// Waits until a job is completed and forgotten; what it printed.
    async fn completed(&self, job: &Job) -> String {
        let ended = self.ended(job).await;
        let log = self.deployment.home.job_log(job.job_id);
        assert_eq!(ended, "completed", "{log}");
        log
    }

    /// Waits until a job has ended, and what was made for it is gone; why it failed, if it did.
    async fn ended(&self, job: &Job) -> String {
        let ended = within(LIMIT, "the end of a job", async || {
            let job = self.deployment.app.job(job.job_id).await;
            (job.status != "pending" && job.status != "running").then_some(job)
        })
        .await;
        let id = job.job_id.to_string();
        within(LIMIT, "a job to be forgotten", async || {
            let of_it = |path: &PathBuf| path.to_string_lossy().contains(&id);
            (!self.deployment.home.records().iter().any(of_it)).then_some(())
        })
        .await;
        ended.fail_reason.unwrap_or(ended.status)
    }

    /// A file on the branch of a job.
    pub(super) fn show(&self, job: &Job, file: &str) -> Option<String> {
        self.git(&["show", &format!("{}:{file}", branch(job))])
    }

    /// What git says of the repository on the forge.
    pub(super) fn git(&self, arguments: &[&str]) -> Option<String> {
        let repository = self.deployment.forge.repo_path(&self.deployment.repo);
        let output = Command::new("git").arg("--git-dir").arg(repository).args(arguments).output();
        let output = output.expect("git");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The file of the traps that went off, as the worker sees it.
    fn traps_seen_inside(&self) -> PathBuf {
        match &self.programs {
            Some(programs) => programs.flags().join("traps"),
            None => "/cache/npm/traps".into(),
        }
    }

    /// The same, as this host sees it.
    pub(super) async fn traps(&self) -> PathBuf {
        match &self.programs {
            Some(programs) => programs.flags().join("traps"),
            None => {
                let cache = self.deployment.cache_path(self.deployment.project).await;
                cache.expect("the job had a cache").join("npm/traps")
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // With the host's engine they are among this machine's own.
        self.deployment.engine.remove_left(
            format!("terarchitect-left-{}", self.id),
            format!("terarchitect-probe-{}", self.id),
        );
    }
}

/// The branch of a job's ticket.
pub(super) fn branch(job: &Job) -> String {
    format!("ticket-{}", job.ticket_id)
}
