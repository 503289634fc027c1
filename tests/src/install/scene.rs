//! A machine, and on this host what its coordinator talks to: app and forge.

use std::net::SocketAddr;

use api_client::{JobId, ProjectId};
use tempfile::TempDir;

use super::kind::Kind;
use super::machine::Machine;
use super::report::Shown;
use crate::forge::{ForgeOptions, PullRequest, RepoName, RepoSource, TestForge, Token};
use crate::harness::{
    AGENT_IMAGE, App, Engine, GO_IN_IMAGE, Job, KEY, build_agent_image, eventually, repo_name,
    source_repository,
};

/// What the image has of the package, beside `agent-runner`.
const SLIM_AIDER: &[u8] = include_bytes!("../../../packaging/slim-aider");

const UNIT: &str = "terarchitect-coordinator";
/// The image in which jobs run: the one that `coordinator image build` makes on the machine.
pub(super) const MADE_IMAGE: &str = "agent-from-the-package";
/// Where it tells how it is.
pub(super) const HEALTH: &str = "127.0.0.1:9464";
pub(super) const ENV_FILE: &str = "/etc/terarchitect/coordinator.env";

/// Everything that takes part.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) kind: Kind,
    pub(super) machine: Machine,
    pub(super) app: App,
    pub(super) forge: TestForge,
    pub(super) project: ProjectId,
    repo: RepoName,
    /// The lines of the environment file.
    settings: String,
    _folder: TempDir,
}

impl Scene {
    /// Boots the machine, and starts app and forge where it reaches them.
    pub(super) async fn set(engine: &Engine, kind: Kind) -> Shown<Self> {
        build_agent_image(engine).await;
        let machine = Machine::boot(engine).await;
        machine.give_image(AGENT_IMAGE).await;
        let facts = machine
            .ok("systemctl --version | head -n 1; docker version -f '{{.Server.Version}}'")
            .await;
        let folder = TempDir::new().expect("a temporary folder");
        let address = engine.host_address().await;
        let token = uuid::Uuid::new_v4().simple().to_string();
        let options = ForgeOptions {
            listen: SocketAddr::new(address, 0),
            ..ForgeOptions::new(folder.path().join("forge"), Token::new(&token).expect("a token"))
        };
        let forge = TestForge::start(options).await.expect("a forge");
        let repo = repo_name();
        let source = source_repository(&folder.path().join("source"), &[("README.md", "demo\n")]);
        forge.create_repo(&repo, RepoSource::From(&source)).await.expect("a repository");
        let app = App::start().await;
        let project = app.add_project(forge.clone_url(&repo).as_str()).await;
        let settings = format!(
            "TERARCHITECT_API_URL=http://{address}:{}\nTERARCHITECT_WORKER_API_KEY={KEY}\n\
             PROJECT_ID={project}\nGITHUB_TOKEN={token}\nAGENT_IMAGE={MADE_IMAGE}\n\
             MAX_CONCURRENT_AGENTS=3\nPOLL_INTERVAL_SEC=1\nAGENT_DOCKER_MODE=none\n\
             FORGE_API_URL={}\nWORKER_MODE=claude-code\nWORKER_API_KEY=sk-of-the-model\n\
             HEALTH_LISTEN={HEALTH}\n",
            app.port(),
            forge.api_url(),
        );
        let scene = Self { kind, machine, app, forge, project, repo, settings, _folder: folder };
        Shown::with(scene, facts.replace('\n', ", engine "))
    }

    /// Writes the environment file of the service, with further lines, as an operator does.
    pub(super) async fn write_settings(&self, more: &str) {
        self.write_settings_to(ENV_FILE, more).await;
    }

    /// The same for another file.
    pub(super) async fn write_settings_to(&self, path: &str, more: &str) {
        let text = format!("{}{more}", self.settings);
        let new = self.machine.write("new.env", text.as_bytes()).await;
        self.machine.ok(&format!("cat {new} >{path} && rm {new} && chmod 600 {path}")).await;
    }

    /// Puts this many jobs into the queue, and waits until each has a container in which the coding CLI
    /// waits.
    pub(super) async fn hold(&self, count: usize) -> Vec<Job> {
        let jobs = self.app.add_jobs(self.project, count).await;
        for job in &jobs {
            let script = format!("docker exec terarchitect-{} pgrep -f bin/claude", job.job_id);
            eventually("a worker that waits", async || {
                (self.machine.run(&script).await.code == 0).then_some(())
            })
            .await;
        }
        jobs
    }

    /// Which containers of jobs there are, with their processes and starts.
    pub(super) async fn containers(&self) -> String {
        let list = "docker ps -q --no-trunc --filter label=terarchitect.job | sort | xargs -r \
            docker inspect -f '{{.Id}} {{.State.Running}} {{.State.Pid}} {{.State.StartedAt}}'";
        self.machine.ok(list).await
    }

    /// Lets the held jobs end, and waits until each was delivered and nothing is left of it.
    pub(super) async fn release(&self, jobs: &[Job]) {
        for job in jobs {
            let id = job.job_id;
            self.machine
                .ok(&format!("docker exec -u 0 terarchitect-{id} touch {GO_IN_IMAGE}"))
                .await;
        }
        for job in jobs {
            self.delivered(job.job_id).await;
        }
        let left = "docker ps -aq --filter label=terarchitect.job | wc -l";
        eventually("the containers to be removed", async || {
            (self.machine.ok(left).await == "0").then_some(())
        })
        .await;
    }

    /// Waits for the end of a job, which has to be a pull request.
    pub(super) async fn delivered(&self, job: JobId) -> PullRequest {
        let ended = self.app.ended(job).await;
        assert_eq!(ended.status, "completed", "{:?}", ended.fail_reason);
        assert_eq!(ended.attempt, 1);
        let ticket = ended.ticket_id.to_string();
        let pulls = self.forge.pulls(&self.repo);
        let found = pulls.into_iter().find(|pull| pull.head.contains(&ticket[..8]));
        found.unwrap_or_else(|| panic!("no pull request of {ticket}"))
    }

    /// The number of the coordinator's process, once systemd counts it as up and it is not `before`.
    pub(super) async fn up(&self, before: Option<&str>) -> String {
        eventually("the service to be up", async || {
            let shown = self.property("ActiveState,MainPID").await;
            let pid = shown.lines().find_map(|line| line.strip_prefix("MainPID="))?.to_owned();
            let up = shown.contains("ActiveState=active") && before != Some(pid.as_str());
            up.then_some(pid)
        })
        .await
    }

    /// What systemd says of the service.
    pub(super) async fn property(&self, names: &str) -> String {
        self.machine.ok(&format!("systemctl show {UNIT} -p {names}")).await
    }

    /// How often systemd has started the service again.
    pub(super) async fn restarts(&self) -> u32 {
        let shown = self.property("NRestarts").await;
        shown.trim_start_matches("NRestarts=").parse().expect("a number")
    }
}

/// Lays out a folder on a machine for `coordinator image build --from`. The package's own Dockerfile would take
/// minutes for what the network gives: here one stands in for it that is done at once, with one more line.
pub(super) async fn lay_out_image(machine: &Machine, folder: &str, line: &str) {
    let lines = format!(
        "FROM {AGENT_IMAGE} AS base\nFROM base AS system\n\
         COPY packaging/slim-aider /usr/local/bin/\n{line}\n\
         LABEL org.opencontainers.image.title=\"terarchitect-agent\"\n"
    );
    let dockerfile = machine.write("Dockerfile.agent", lines.as_bytes()).await;
    let slim = machine.write("slim-aider", SLIM_AIDER).await;
    machine
        .ok(&format!(
            "install -D -m 644 -t {folder} {dockerfile} && install -D -t {folder}/packaging {slim}"
        ))
        .await;
}
