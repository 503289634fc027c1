//! Where the cases take place, and one case from its beginning to its end.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use api_client::contract::env;
use tempfile::TempDir;
use tokio::time::Instant;

use super::case::{Case, JOB, Kind};
use super::leaks::{DIRECTOR_KEY, FORGE_TOKEN, WORKER_KEY};
use super::seen::{Seen, outcome};
use super::summary::Row;
use super::{answers, budgets, injections, killed, pauses, review};
use crate::forge::{ForgeKind, ForgeOptions, RepoName, RepoSource, TestForge, Token};
use crate::harness::{Engine, source_repository};
use crate::llm::{LlmOptions, Script, ScriptedLlm};
use crate::matrix::Cli;
use crate::matrix::container::{Container, Exits};

/// A case that takes longer hangs. A slow machine with much to do takes ten minutes for the longest.
pub(super) const CASE_LIMIT: Duration = Duration::from_secs(3_600);

/// Where the cases take place.
#[derive(Debug)]
pub struct Stage {
    pub(super) engine: Engine,
    pub(super) image: String,
    pub(super) logs: PathBuf,
    address: IpAddr,
    folder: TempDir,
}

/// What the agent of one case speaks to, which is its own.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) forge: TestForge,
    pub(super) kind: ForgeKind,
    pub(super) repo: RepoName,
    pub(super) worker: ScriptedLlm,
    pub(super) director: ScriptedLlm,
}

impl Stage {
    /// Sets it, with an image of the agent and its CLIs. What the agents print is kept in `logs`.
    pub async fn set(engine: &Engine, image: &str, logs: &Path) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let address = engine.host_address().await;
        fs::create_dir_all(logs).expect("a folder for logs");
        let (engine, image, logs) = (engine.clone(), image.to_owned(), logs.to_owned());
        Self { engine, image, address, logs, folder }
    }

    /// Plays a case.
    pub async fn play(&self, case: Case) -> Row {
        let begun = Instant::now();
        let mut calls = None;
        let (wrong, leaked) = match case.story.kind() {
            Kind::Killed => {
                let (wrong, leaked, made) = killed::play(self, case).await;
                calls = Some(made);
                (wrong, leaked)
            }
            Kind::Budget => budgets::play(self, case).await,
            Kind::Review => review::play(self, case).await,
            kind @ (Kind::Answers | Kind::Pause | Kind::Injection) => {
                let seen = self.run(case, None).await;
                let wrong = match kind {
                    Kind::Pause => pauses::wrong(&seen),
                    Kind::Injection => injections::wrong(&seen),
                    _ => answers::wrong(&seen, case.story),
                };
                (seen.violations.iter().cloned().chain(wrong).collect(), seen.leaked())
            }
        };
        Row { case, wrong, leaked, calls, took: begun.elapsed() }
    }

    /// Runs the agent once under its Director, with one more setting.
    pub(super) async fn run(&self, case: Case, setting: Option<(&'static str, String)>) -> Seen {
        let sequence = case.director();
        let director = Script { sequence, ..case.counting() };
        let servers = self.serve(case, ForgeKind::GitHub, case.worker(), director).await;
        let main = servers.git(&["rev-parse", "main"]);
        let mut settings = servers.settings(case);
        settings.push((env::AGENT_DIRECTOR, "1".to_owned()));
        settings.extend(case.settings().into_iter().chain(setting));
        let out = self.folder(case, "out");
        let container = self.agent(case, &settings, &out).await;
        let code = container.end(Instant::now() + CASE_LIMIT).await;
        let output = self.end(case, container, "").await;
        let seen = Seen {
            code,
            output,
            document: outcome(&out),
            files: servers.files(),
            branches: servers.branches(),
            is_main_untouched: servers.git(&["rev-parse", "main"]) == main,
            pushed: servers.git(&["log", "--all", "--patch", "--text", "--format=fuller"]),
            pulls: servers.forge.pulls(&servers.repo),
            worker: servers.worker.requests(),
            director: servers.director.requests(),
            violations: servers.forge.take_violations(),
        };
        servers.end().await;
        seen
    }

    /// A forge of this kind with a repository, and both models.
    pub(super) async fn serve(
        &self,
        case: Case,
        kind: ForgeKind,
        worker: Script,
        director: Script,
    ) -> Servers {
        let token = Token::new(FORGE_TOKEN).expect("a plain token");
        let listen = SocketAddr::new(self.address, 0);
        let root = self.folder(case, "forge");
        let options = ForgeOptions { kind, listen, ..ForgeOptions::new(root, token) };
        let forge = TestForge::start(options).await.expect("a forge");
        let repo = RepoName::new("director", &case.name()).expect("a plain name");
        let source = self.folder(case, "source").join("it");
        let source = source_repository(&source, &case.repository());
        forge.create_repo(&repo, RepoSource::From(&source)).await.expect("a repository");
        let model = async |key: &str, script: Script| {
            let script = Script { api_key: Some(key.to_owned()), ..script };
            let options = LlmOptions { listen, ..LlmOptions::new(script) };
            ScriptedLlm::start(options).await.expect("a model")
        };
        let worker = model(WORKER_KEY, worker).await;
        let director = model(DIRECTOR_KEY, director).await;
        Servers { forge, kind, repo, worker, director }
    }

    /// Starts the agent. `out` is where its outcome comes.
    pub(super) async fn agent(
        &self,
        case: Case,
        settings: &[(&'static str, String)],
        out: &Path,
    ) -> Container {
        let name = format!("terarchitect-director-{}-{:08x}", case.name(), fastrand::u32(..));
        Container::start(&self.engine, &self.image, name, settings, Exits::Yes, out).await
    }

    /// Ends the agent by KILL where it is not over; what it printed, which is kept.
    pub(super) async fn end(&self, case: Case, container: Container, which: &str) -> String {
        let output = container.output().await;
        let log = self.logs.join(format!("{}{which}.log", case.name()));
        fs::write(log, &output).expect("a file of ours");
        container.remove().await;
        output
    }

    /// A new folder.
    pub(super) fn folder(&self, case: Case, what: &str) -> PathBuf {
        let name = format!("{}-{what}-{:08x}", case.name(), fastrand::u32(..));
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).expect("a folder of ours");
        folder
    }
}

impl Servers {
    /// The settings that every case has.
    pub(super) fn settings(&self, case: Case) -> Vec<(&'static str, String)> {
        let version = if case.cli == Cli::OpenCode { "v1" } else { "" };
        // Each CLI's cases have the Director in another protocol.
        let provider = if case.cli == Cli::OpenCode { "custom" } else { "anthropic" };
        vec![
            (env::TASK, case.task(FORGE_TOKEN)),
            (env::JOB_ID, JOB.to_owned()),
            (env::REPO_URL, self.forge.clone_url(&self.repo).to_string()),
            (env::FORGE, self.kind.name().to_owned()),
            (env::FORGE_API_URL, self.forge.api_url().to_string()),
            (env::GITHUB_TOKEN, FORGE_TOKEN.to_owned()),
            (env::WORKER_MODE, case.cli.mode().to_owned()),
            (env::WORKER_LLM_URL, format!("http://{}/{version}", self.worker.address())),
            (env::WORKER_MODEL, "scripted-model".to_owned()),
            (env::WORKER_LLM_KEY, WORKER_KEY.to_owned()),
            (env::AGENT_PROVIDER, provider.to_owned()),
            (env::AGENT_LLM_URL, format!("http://{}/v1", self.director.address())),
            (env::AGENT_MODEL, "scripted-judge".to_owned()),
            (env::AGENT_LLM_KEY, DIRECTOR_KEY.to_owned()),
            ("LOG_LEVEL", "debug".to_owned()),
        ]
    }

    /// What git says of the repository.
    pub(super) fn git(&self, arguments: &[&str]) -> String {
        self.forge.git(&self.repo, arguments)
    }

    /// The branches beside the default one.
    pub(super) fn branches(&self) -> Vec<String> {
        let refs = self.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
        refs.lines().filter(|name| *name != "main").map(str::to_owned).collect()
    }

    /// The files that the work's branch has beyond the default one; none where there is no such branch.
    fn files(&self) -> Vec<String> {
        let Some(branch) = self.branches().into_iter().next() else { return Vec::new() };
        let files = self.git(&["diff", "--name-only", "main", &branch]);
        files.lines().map(str::to_owned).collect()
    }

    /// Ends them.
    pub(super) async fn end(self) {
        self.worker.shutdown().await.expect("the worker's model ends");
        self.director.shutdown().await.expect("the Director's model ends");
        self.forge.shutdown().await.expect("the forge ends");
    }
}
