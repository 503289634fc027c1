//! Where the cases take place, and one case from its beginning to its end.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use api_client::contract::{AgentExit, env};
use api_client::outcome::{OutcomeDocument, PlanOutcome};
use tempfile::TempDir;
use tokio::time::Instant;

use super::case::{Case, JOB, Kind, Story};
use super::{budgets, injections, pauses};
use crate::forge::{ForgeOptions, PullRequest, RepoName, RepoSource, TestForge, Token};
use crate::harness::{Engine, source_repository};
use crate::llm::{LlmOptions, LlmRequest, Said, Script, ScriptedLlm};
use crate::matrix::Cli;
use crate::matrix::container::{Container, Exits};

/// A case that takes longer hangs.
const CASE_LIMIT: Duration = Duration::from_secs(1_200);

const FORGE_TOKEN: &str = "ghp_director_forge_token";
const WORKER_KEY: &str = "sk-director-tests-worker-key";
const DIRECTOR_KEY: &str = "sk-director-tests-director-key";
const SECRETS: [&str; 3] = [FORGE_TOKEN, WORKER_KEY, DIRECTOR_KEY];

/// Where the cases take place.
#[derive(Debug)]
pub struct Stage {
    engine: Engine,
    image: String,
    forge: TestForge,
    address: IpAddr,
    logs: PathBuf,
    folder: TempDir,
}

/// What a case came to.
#[derive(Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// What is not as it has to be.
    pub wrong: Vec<String>,
    /// Where a secret was found.
    pub leaked: Vec<String>,
    took: Duration,
}

/// All cases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    cases: usize,
    failed: usize,
    leaked: usize,
}

impl Summary {
    /// Of these.
    pub fn of(rows: &[Row]) -> Self {
        Self {
            cases: rows.len(),
            failed: rows.iter().filter(|row| !row.wrong.is_empty()).count(),
            leaked: rows.iter().map(|row| row.leaked.len()).sum(),
        }
    }

    /// Whether all is as it has to be.
    pub fn is_good(self) -> bool {
        self.cases > 0 && self.failed == 0 && self.leaked == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cases={} failed={} leaked={}", self.cases, self.failed, self.leaked)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, secs) = (self.case.name(), self.took.as_secs());
        let all: Vec<&str> = self.wrong.iter().chain(&self.leaked).map(String::as_str).collect();
        match all[..] {
            [] => write!(f, "ok     {name} ({secs} s)"),
            _ => write!(f, "WRONG  {name} ({secs} s): {}", all.join("; ")),
        }
    }
}

/// What there is to look at after a case.
pub(super) struct Seen {
    pub(super) code: Option<i64>,
    pub(super) output: String,
    pub(super) document: Result<OutcomeDocument, String>,
    pub(super) files: Vec<String>,
    pub(super) branches: Vec<String>,
    pub(super) is_main_untouched: bool,
    pub(super) pushed: String,
    pub(super) pulls: Vec<PullRequest>,
    pub(super) worker: Vec<LlmRequest>,
    pub(super) director: Vec<LlmRequest>,
}

impl Stage {
    /// Sets it, with an image of the agent and its CLIs. What the agents print is kept in `logs`.
    pub async fn set(engine: &Engine, image: &str, logs: &Path) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let address = engine.host_address().await;
        let token = Token::new(FORGE_TOKEN).expect("a plain token");
        let listen = SocketAddr::new(address, 0);
        let options =
            ForgeOptions { listen, ..ForgeOptions::new(folder.path().join("forge"), token) };
        let forge = TestForge::start(options).await.expect("a forge");
        fs::create_dir_all(logs).expect("a folder for logs");
        let (engine, image, logs) = (engine.clone(), image.to_owned(), logs.to_owned());
        Self { engine, image, forge, address, logs, folder }
    }

    /// Takes it down.
    pub async fn strike(self) {
        self.forge.shutdown().await.expect("the forge ends");
    }

    /// Plays a case.
    pub async fn play(&self, case: Case) -> Row {
        let begun = Instant::now();
        let repo = RepoName::new("director", &case.name()).expect("a plain name");
        let source = self.folder.path().join(format!("{}-source", case.name()));
        let source = source_repository(&source, &case.repository());
        self.forge.create_repo(&repo, RepoSource::From(&source)).await.expect("a repository");
        let main = self.forge.git(&repo, &["rev-parse", "main"]);
        let sequence = case.director();
        let key = Some(DIRECTOR_KEY.to_owned());
        let director = self
            .model(Script { api_key: key, sequence: sequence.clone(), ..case.counting() })
            .await;
        let key = Some(WORKER_KEY.to_owned());
        let worker = self.model(Script { api_key: key, ..case.worker() }).await;
        let out = self.folder.path().join(case.name());
        fs::create_dir(&out).expect("a folder of ours");
        let settings = self.settings(case, &repo, &worker, &director);
        let name = format!("terarchitect-director-{}-{:08x}", case.name(), fastrand::u32(..));
        let container =
            Container::start(&self.engine, &self.image, name, &settings, Exits::Yes, &out).await;
        let code = container.end(begun + CASE_LIMIT).await;
        let output = container.output().await;
        fs::write(self.logs.join(format!("{}.log", case.name())), &output).expect("a file of ours");
        container.remove().await;
        let seen = Seen {
            code,
            output,
            document: read(&out.join("outcome.json")),
            files: self.files(&repo),
            branches: self.branches(&repo),
            is_main_untouched: self.forge.git(&repo, &["rev-parse", "main"]) == main,
            // All that is on the remote: each file in each commit, with the messages.
            pushed: self
                .forge
                .git(&repo, &["log", "--all", "--patch", "--text", "--format=fuller"]),
            pulls: self.forge.pulls(&repo),
            worker: worker.requests(),
            director: director.conversations(),
        };
        worker.shutdown().await.expect("the worker's model ends");
        director.shutdown().await.expect("the Director's model ends");
        let wrong = match case.story.kind() {
            Kind::Answers => seen.wrong(case, &sequence),
            Kind::Budget => budgets::wrong(&seen, case),
            Kind::Pause => pauses::wrong(&seen),
            Kind::Injection => injections::wrong(&seen),
        };
        let leaked = seen.leaked();
        Row { case, wrong, leaked, took: begun.elapsed() }
    }

    async fn model(&self, script: Script) -> ScriptedLlm {
        let listen = SocketAddr::new(self.address, 0);
        let options = LlmOptions { listen, ..LlmOptions::new(script) };
        ScriptedLlm::start(options).await.expect("a model")
    }

    fn settings(
        &self,
        case: Case,
        repo: &RepoName,
        worker: &ScriptedLlm,
        director: &ScriptedLlm,
    ) -> Vec<(&'static str, String)> {
        let version = if case.cli == Cli::OpenCode { "v1" } else { "" };
        // Each CLI's cases have the Director in another protocol.
        let provider = if case.cli == Cli::OpenCode { "custom" } else { "anthropic" };
        let mut settings = vec![
            (env::TASK, case.task(FORGE_TOKEN)),
            (env::JOB_ID, JOB.to_owned()),
            (env::REPO_URL, self.forge.clone_url(repo).to_string()),
            (env::FORGE_API_URL, self.forge.api_url().to_string()),
            (env::GITHUB_TOKEN, FORGE_TOKEN.to_owned()),
            (env::WORKER_MODE, case.cli.mode().to_owned()),
            (env::WORKER_LLM_URL, format!("http://{}/{version}", worker.address())),
            (env::WORKER_MODEL, "scripted-model".to_owned()),
            (env::WORKER_LLM_KEY, WORKER_KEY.to_owned()),
            (env::AGENT_DIRECTOR, "1".to_owned()),
            (env::AGENT_PROVIDER, provider.to_owned()),
            (env::AGENT_LLM_URL, format!("http://{}/v1", director.address())),
            (env::AGENT_MODEL, "scripted-judge".to_owned()),
            (env::AGENT_LLM_KEY, DIRECTOR_KEY.to_owned()),
            ("LOG_LEVEL", "debug".to_owned()),
        ];
        settings.extend(case.settings());
        settings
    }

    /// The branches beside the default one.
    fn branches(&self, repo: &RepoName) -> Vec<String> {
        let refs =
            self.forge.git(repo, &["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
        refs.lines().filter(|name| *name != "main").map(str::to_owned).collect()
    }

    /// The files that the work's branch has beyond the default one; none where there is no such branch.
    fn files(&self, repo: &RepoName) -> Vec<String> {
        let git = |arguments: &[&str]| self.forge.git(repo, arguments);
        let Some(branch) = self.branches(repo).into_iter().next() else { return Vec::new() };
        git(&["diff", "--name-only", "main", &branch]).lines().map(str::to_owned).collect()
    }
}

impl Seen {
    /// What is not as it has to be.
    fn wrong(&self, case: Case, sequence: &[Said]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut expect = |what: &str, is: String, wanted: String| {
            if is != wanted {
                wrong.push(format!("{what}: {is} in the place of {wanted}"));
            }
        };
        let never = case.story == Story::Never;
        let exit = if never { AgentExit::DirectorFailed } else { AgentExit::Delivered };
        expect("exit code", format!("{:?}", self.code), format!("{:?}", Some(exit.code())));
        expect("pull requests", self.pulls.len().to_string(), usize::from(!never).to_string());
        expect("files", self.files.join(" "), case.files().join(" "));
        let document = match &self.document {
            Ok(document) => document,
            Err(error) => {
                wrong.push(format!("no outcome: {error}"));
                return wrong;
            }
        };
        let Some(facts) = &document.director else {
            wrong.push("no Director in the outcome".to_owned());
            return wrong;
        };
        let mut expect = |what: &str, is: u64, wanted: usize| {
            if u64::try_from(wanted).ok() != Some(is) {
                wrong.push(format!("{what}: {is} in the place of {wanted}"));
            }
        };
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        expect("calls in the outcome", facts.calls, self.director.len());
        // A repaired question is asked anew; the last answer is given for ever.
        let answers = (0..self.director.len())
            .filter(|at| sequence.get(*at).or(sequence.last()).is_some_and(Said::is_answer));
        let script = Script::default();
        let (read, written) = (script.input_tokens, script.output_tokens);
        let tokens = facts.tokens;
        let answers = answers.count();
        let of = |each: u64| usize::try_from(each).unwrap_or(usize::MAX).saturating_mul(answers);
        expect("tokens read in the outcome", tokens.input + tokens.cached, of(read));
        expect("tokens written in the outcome", tokens.output, of(written));
        let before = if case.story == Story::PlanMended { 3 } else { 2 };
        expect("turns", count(document.turns.len()), before + case.turns());
        if facts.plan != Some(PlanOutcome::Approved) {
            wrong.push(format!("the plan is {:?}", facts.plan));
        }
        wrong
    }

    /// Where a secret is that has no place there.
    fn leaked(&self) -> Vec<String> {
        let document = self.document.as_ref().map(|one| format!("{one:?}")).unwrap_or_default();
        let texts = [
            ("output", self.output.clone(), &SECRETS[..]),
            ("outcome", document, &SECRETS),
            ("the remote's branches", self.pushed.clone(), &SECRETS),
            ("a pull request", format!("{:?}", self.pulls), &SECRETS),
        ];
        // Each key has its place in the headers of its own model's requests.
        let sent = |whose, requests: &[LlmRequest], others: &'static [&'static str]| {
            let whole = |request: &LlmRequest| format!("{:?}{}", request.headers, request.path);
            let heads = requests.iter().map(whole).collect::<String>();
            let bodies = requests.iter().map(|request| request.body.as_str()).collect::<String>();
            [(whose, heads, others), (whose, bodies, &SECRETS[..])]
        };
        let worker = sent("the worker's model", &self.worker, &[FORGE_TOKEN, DIRECTOR_KEY]);
        let director = sent("the Director's model", &self.director, &[FORGE_TOKEN, WORKER_KEY]);
        let all = texts.into_iter().chain(worker).chain(director);
        all.flat_map(|(place, text, secrets)| {
            let found = secrets.iter().filter(|secret| text.contains(**secret));
            found.map(|secret| format!("{secret} in {place}")).collect::<Vec<_>>()
        })
        .collect()
    }
}

fn read(path: &Path) -> Result<OutcomeDocument, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}
