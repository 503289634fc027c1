//! The whole system with the ticket: coordinator, app, forge and both models.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use api_client::contract::env;
use api_client::outcome::OutcomeDocument;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::calls::Calls;
use super::script::{self, TURNS};
use crate::director::case::Case;
use crate::director::leaks::{DIRECTOR_KEY, FORGE_TOKEN, WORKER_KEY};
use crate::director::stage::Stage;
use crate::forge::PullRequest;
use crate::harness::{Deployment, DockerMode, Job, KEY, Keys, LogRecord, eventually};
use crate::llm::{LlmOptions, Script, ScriptedLlm};
use crate::matrix::Cli;

/// A turn that does not begin in this time hangs, as does a run that does not end.
const LIMIT: Duration = Duration::from_secs(600);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// The system, and what was seen in it so far.
pub(super) struct Scene {
    pub(super) deployment: Deployment,
    pub(super) director: ScriptedLlm,
    pub(super) calls: Calls,
    pub(super) image: String,
    case: Case,
    logs: PathBuf,
    /// One for each run, in their order.
    jobs: Vec<Job>,
}

impl Scene {
    /// Starts all but the coordinator.
    pub(super) async fn set(stage: &Stage, case: Case) -> Self {
        let keys = Keys {
            forge: FORGE_TOKEN.to_owned(),
            worker_api: KEY.to_owned(),
            model: WORKER_KEY.to_owned(),
        };
        let (engine, image) = (&stage.engine, stage.image.as_str());
        let files = case.repository();
        let mut deployment =
            Deployment::start(engine, image, DockerMode::None, &keys, &files).await;
        let (sequence, api_key) = (case.director(), Some(DIRECTOR_KEY.to_owned()));
        let script = Script { sequence, api_key, ..Script::default() };
        let listen = SocketAddr::new(deployment.llm.address().ip(), 0);
        let options = LlmOptions { listen, ..LlmOptions::new(script) };
        let director = ScriptedLlm::start(options).await.expect("a model");
        for (name, value) in settings(case, &deployment.llm, &director) {
            deployment.home.set(name, &value);
        }
        Self {
            deployment,
            director,
            calls: Calls::default(),
            case,
            image: image.to_owned(),
            logs: stage.logs.clone(),
            jobs: Vec::new(),
        }
    }

    /// Kills the container in each turn, and lets the run after that end.
    pub(super) async fn run_to_the_end(&mut self) -> Result<(), String> {
        let task = self.case.task(FORGE_TOKEN);
        let (title, description) = task.split_once("\n\n").unwrap_or((&task, ""));
        let (app, project) = (&self.deployment.app, self.deployment.project);
        let mut job = app.add_described_job(project, title, description).await;
        self.hold(&job, Some(1));
        let coordinator = self.deployment.coordinator("");
        for turn in 1..=TURNS {
            self.in_flight(&job, turn).await?;
            self.deployment.engine.signal(job.job_id, "SIGKILL").await;
            self.over(&job, ("failed", Some("agent_killed"))).await?;
            self.hold(&job, (turn < TURNS).then_some(turn + 1));
            job = self.again(&job).await;
        }
        self.over(&job, ("completed", None)).await?;
        self.deployment.settled().await;
        coordinator.terminate().await;
        Ok(())
    }

    /// Ends the models and the forge, whatever the runs came to; the calls.
    pub(super) async fn end(self) -> Calls {
        let Self { deployment, director, calls, .. } = self;
        director.shutdown().await.expect("the Director's model ends");
        drop(deployment);
        calls
    }

    /// What git says of the repository.
    pub(super) fn git(&self, arguments: &[&str]) -> String {
        self.deployment.forge.git(&self.deployment.repo, arguments)
    }

    /// The branch of the ticket.
    pub(super) fn branch(&self) -> String {
        self.jobs.last().map(|job| format!("ticket-{}", job.ticket_id)).unwrap_or_default()
    }

    pub(super) fn pulls(&self) -> Vec<PullRequest> {
        self.deployment.forge.pulls(&self.deployment.repo)
    }

    /// What the agents printed, run by run, as the coordinator keeps it.
    pub(super) fn outputs(&self) -> Vec<String> {
        self.jobs.iter().map(|job| self.deployment.home.job_log(job.job_id)).collect()
    }

    /// What the runs told the app.
    pub(super) async fn ticket_log(&self) -> Vec<LogRecord> {
        match self.jobs.last() {
            Some(job) => self.deployment.app.ticket_log(job).await,
            None => Vec::new(),
        }
    }

    /// The outcome of the last run, as the coordinator keeps it.
    pub(super) fn outcome(&self) -> Result<OutcomeDocument, String> {
        let job = self.jobs.last().ok_or("no run ended")?;
        let file = format!("logs/{}.ended.json", job.job_id);
        let text = fs::read(self.deployment.home.state_dir().join(file));
        let text = text.map_err(|error| error.to_string())?;
        let kept: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        OutcomeDocument::deserialize(&kept["document"]).map_err(|error| error.to_string())
    }

    /// Has the worker's model give no answer in this turn, from its next call on.
    fn hold(&self, job: &Job, turn: Option<usize>) {
        let plan = format!("plan/{}_task_plan.md", job.ticket_id);
        let script = script::worker(&plan, turn);
        let script = Script { api_key: Some(WORKER_KEY.to_owned()), ..script };
        self.deployment.llm.set_script(script).expect("a valid script");
    }

    /// Waits until the worker's model is asked in the turn that is held.
    async fn in_flight(&self, job: &Job, turn: usize) -> Result<(), String> {
        let until = Instant::now() + LIMIT;
        while !self.calls.is_one_in_flight(&self.deployment.llm.requests()) {
            let status = self.deployment.app.job(job.job_id).await.status;
            if Instant::now() > until || !matches!(status.as_str(), "pending" | "running") {
                return Err(format!("turn {turn} did not begin, the job is {status}"));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until the app knows that a run is over, and why; notes what was asked in it.
    async fn over(&mut self, job: &Job, wanted: (&str, Option<&str>)) -> Result<(), String> {
        let until = Instant::now() + LIMIT;
        let ended = loop {
            let now = self.deployment.app.job(job.job_id).await;
            if !matches!(now.status.as_str(), "pending" | "running") || Instant::now() > until {
                break now;
            }
            sleep(LOOK).await;
        };
        self.note(job).await;
        if (ended.status.as_str(), ended.fail_cause.as_deref()) == wanted {
            return Ok(());
        }
        let run = self.jobs.len();
        Err(format!("run {run} is {}: {:?}", ended.status, ended.fail_reason))
    }

    /// Notes what a run printed, told and asked.
    async fn note(&mut self, job: &Job) {
        self.jobs.push(job.clone());
        let output = self.deployment.home.job_log(job.job_id);
        let log = self.logs.join(format!("{}-{}.log", self.case.name(), self.jobs.len()));
        fs::write(log, output).expect("a file of ours");
        let told = self.deployment.app.ticket_log(job).await;
        let resumed = told.into_iter().filter(|entry| entry.step == "resumed");
        let resumed: Vec<String> = resumed.map(|entry| entry.summary).collect();
        let (worker, director) = (self.deployment.llm.requests(), self.director.requests());
        self.calls.note(&worker, &director, &resumed);
    }

    /// The job that the coordinator has the app queue for the ticket once more.
    async fn again(&mut self, job: &Job) -> Job {
        let id = job.job_id.to_string();
        // It may have to be put away first.
        let told = eventually("another job", async || {
            let (code, text) = self.deployment.home.command(&["retry", "--json", &id]).await;
            (code == Some(0)).then_some(text)
        });
        let told: Value = serde_json::from_str(&told.await).expect("JSON");
        let queued = told["job"].as_str().and_then(|id| id.parse().ok());
        self.deployment.app.job(queued.expect("an id")).await
    }
}

fn settings(
    case: Case,
    worker: &ScriptedLlm,
    director: &ScriptedLlm,
) -> [(&'static str, String); 9] {
    let version = if case.cli == Cli::OpenCode { "v1" } else { "" };
    // Each CLI's run has the Director in another protocol.
    let provider = if case.cli == Cli::OpenCode { "custom" } else { "anthropic" };
    [
        ("STATE_KEEP_AGE", "1h".to_owned()),
        (env::WORKER_MODE, case.cli.mode().to_owned()),
        (env::WORKER_LLM_URL, format!("http://{}/{version}", worker.address())),
        (env::WORKER_MODEL, "scripted-model".to_owned()),
        (env::AGENT_DIRECTOR, "1".to_owned()),
        (env::AGENT_PROVIDER, provider.to_owned()),
        (env::AGENT_LLM_URL, format!("http://{}/v1", director.address())),
        (env::AGENT_MODEL, "scripted-judge".to_owned()),
        (env::AGENT_LLM_KEY, DIRECTOR_KEY.to_owned()),
    ]
}
