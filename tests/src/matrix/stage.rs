//! Where the cases take place, and one case from its beginning to its end.

use std::convert::Infallible;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use api_client::contract::env;
use api_client::outcome::OutcomeDocument;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::case::{Case, Cli, TurnEnd};
use super::container::{self, Container, Exits};
use super::expected::{Expected, Remote};
use super::script::{CONTENT, FILE, script};
use super::verdict::{Got, Row};
use crate::forge::{ForgeOptions, RepoName, RepoSource, TestForge, Token};
use crate::harness::{Engine, source_repository};
use crate::llm::{LlmOptions, ScriptedLlm};

/// A case that goes on for so many times the stall limit, beyond what surrounds a turn, hangs. A turn may
/// take less.
const CASE_STALLS: u32 = 4;
const TURN_STALLS: u32 = 3;
const AROUND_A_TURN: Duration = Duration::from_secs(60);

const FORGE_TOKEN: &str = "ghp_matrix_forge_token";
const MODEL_KEY: &str = "sk-matrix-model-key";

/// The task of every case.
const TASK: &str = "Add a greeting\n\nAdd a file with a greeting.";

/// Where the cases take place: the image, the forge, and files of all of them.
pub struct Stage {
    engine: Engine,
    forge: TestForge,
    address: IpAddr,
    source: PathBuf,
    logs: PathBuf,
    /// Longest silence of a CLI.
    stall: Duration,
    folder: TempDir,
}

impl Stage {
    /// Sets it, with an image of the agent and its CLIs. A CLI may be silent for `stall`. What the agents
    /// print is kept in `logs`.
    pub async fn set(engine: &Engine, image: &str, stall: Duration, logs: &Path) -> Self {
        container::build_image(engine, image).await;
        container::warm_up(engine).await;
        let folder = TempDir::new().expect("a temporary folder");
        let address = engine.host_address().await;
        let token = Token::new(FORGE_TOKEN).expect("a plain token");
        let listen = SocketAddr::new(address, 0);
        let options =
            ForgeOptions { listen, ..ForgeOptions::new(folder.path().join("forge"), token) };
        let forge = TestForge::start(options).await.expect("a forge");
        fs::create_dir_all(logs).expect("a folder for logs");
        let logs = logs.to_owned();
        let files = [("README.md", "A repository of the matrix.\n")];
        let source = source_repository(&folder.path().join("source"), &files);
        Self { engine: engine.clone(), forge, address, source, logs, stall, folder }
    }

    /// Takes it down.
    pub async fn strike(self) {
        container::remove_image(&self.engine).await;
        self.forge.shutdown().await.expect("the forge ends");
    }

    /// Plays a case.
    pub async fn play(&self, case: Case) -> Row {
        let begun = Instant::now();
        let repo = RepoName::new("matrix", &case.name()).expect("a plain name");
        self.forge.create_repo(&repo, RepoSource::From(&self.source)).await.expect("a repository");
        let options = LlmOptions {
            listen: SocketAddr::new(self.address, 0),
            ..LlmOptions::new(script(case, MODEL_KEY))
        };
        let llm = ScriptedLlm::start(options).await.expect("a model");
        let out = self.folder.path().join(case.name());
        fs::create_dir(&out).expect("a folder of ours");
        let settings = self.settings(case, &repo, &llm);
        let name = format!("terarchitect-matrix-{}-{:08x}", case.name(), fastrand::u32(..));
        let exits = if case.end == TurnEnd::HangsAfterEnd { Exits::No } else { Exits::Yes };
        let container =
            Container::start(&self.engine, container::IMAGE, name, &settings, exits, &out).await;
        let until = begun + AROUND_A_TURN + self.stall * CASE_STALLS;
        let code = tokio::select! {
            code = container.end(until) => code,
            never = kill_when_it_waits(&container, &llm), if case.end == TurnEnd::Killed => {
                match never {}
            }
        };
        fs::write(self.log(case), container.output().await).expect("a file of ours");
        container.remove().await;
        let asked = llm.requests().len();
        llm.shutdown().await.expect("the model ends");
        let got = Got {
            code,
            document: read(&out.join("outcome.json")),
            remote: self.remote(&repo),
            requests: asked,
            time: begun.elapsed(),
        };
        Row::new(case, Expected::of(case), got)
    }

    /// Where the output of a case is kept.
    pub fn log(&self, case: Case) -> PathBuf {
        self.logs.join(format!("{}.log", case.name()))
    }

    fn settings(
        &self,
        case: Case,
        repo: &RepoName,
        llm: &ScriptedLlm,
    ) -> Vec<(&'static str, String)> {
        let model = match case.end {
            TurnEnd::ConnectionRefused => SocketAddr::new(self.address, closed_port(self.address)),
            _ => llm.address(),
        };
        let version = match case.cli {
            Cli::OpenCode | Cli::Codex | Cli::Aider => "v1",
            Cli::ClaudeCode | Cli::Gemini => "",
        };
        vec![
            (env::TASK, TASK.to_owned()),
            (env::REPO_URL, self.forge.clone_url(repo).to_string()),
            (env::FORGE_API_URL, self.forge.api_url().to_string()),
            (env::GITHUB_TOKEN, FORGE_TOKEN.to_owned()),
            (env::WORKER_MODE, case.cli.mode().to_owned()),
            (env::WORKER_LLM_URL, format!("http://{model}/{version}")),
            (env::WORKER_MODEL, "scripted-model".to_owned()),
            (env::WORKER_LLM_KEY, MODEL_KEY.to_owned()),
            (env::WORKER_TIMEOUT_SEC, (self.stall * TURN_STALLS).as_secs().to_string()),
            ("WORKER_STALL_SEC", self.stall.as_secs().to_string()),
            ("LOG_LEVEL", "debug".to_owned()),
        ]
    }

    /// What is on the remote beside its default branch; nothing of what is known where it is anything
    /// else.
    fn remote(&self, repo: &RepoName) -> Result<Remote, String> {
        let git = |arguments: &[&str]| self.forge.git(repo, arguments);
        let refs = git(&["for-each-ref", "--format=%(objectname) %(refname:short)", "refs/heads"]);
        let work: Vec<_> = refs.lines().filter(|line| !line.ends_with(" main")).collect();
        let pulls = self.forge.pulls(repo);
        let (commit, branch) = match (&work[..], &pulls[..]) {
            ([], []) => return Ok(Remote::Nothing),
            ([one], _) => one.split_once(' ').unwrap_or_default(),
            _ => return Err(format!("branches: {work:?}, pull requests: {}", pulls.len())),
        };
        let found = git(&["diff", "--name-status", "main", commit]);
        if found.trim() != format!("A\t{FILE}") {
            return Err(format!("{branch} changes {found:?}"));
        }
        let content = git(&["show", &format!("{commit}:{FILE}")]);
        if content.trim_end() != CONTENT.trim_end() {
            return Err(format!("{branch} has {content:?}"));
        }
        match &pulls[..] {
            [] => Ok(Remote::Rescue),
            [pull] if pull.head == branch => Ok(Remote::PullRequest),
            pulls => Err(format!("{} pull requests for {branch}", pulls.len())),
        }
    }
}

/// Kills the CLI whenever the model has another request that it will not answer: the first may be that of
/// the agent itself, which looks at the endpoint before it starts the CLI.
async fn kill_when_it_waits(container: &Container, llm: &ScriptedLlm) -> Infallible {
    let mut seen = 0;
    loop {
        let waiting = llm.requests().iter().filter(|request| request.answer == "hang").count();
        if waiting > seen {
            seen = waiting;
            container.kill_worker().await;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// A port at which nothing listens.
fn closed_port(address: IpAddr) -> u16 {
    let listener = TcpListener::bind((address, 0)).expect("a free port");
    listener.local_addr().expect("it has one").port()
}

fn read(path: &Path) -> Result<OutcomeDocument, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}
