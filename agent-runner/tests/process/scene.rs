//! A job of the app with the servers that it talks to, and what there is to see of its run.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use api_client::outcome::OutcomeDocument;
use serde_json::{Value, json};

use crate::job::{JOB, Job, REPO_URL, TOKEN, eventually};
use crate::servers::{Answer, Request, Servers, TICKET};
use crate::turn::{self, NOTHING};

pub(crate) const CLAIM: &str = "0b8f4e0e-8f3a-4c5e-9d1e-2f6a7c9b1d00";
pub(crate) const DIRECTOR_KEY: &str = "sk-topsecret-of-the-director";
const PROJECT: &str = "b0acb5a0-d0bc-4738-89d0-347ecd318506";
/// Requests that no order of things is about.
const ASIDE: [&str; 5] = ["log", "flag", "recall", "remember", "checkpoint"];

/// A job of the app with its servers.
pub(crate) struct Scene {
    pub(crate) job: Job,
    servers: Arc<Servers>,
    document: String,
}

/// What is special about a job.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// The script that is the coding CLI.
    pub(crate) claude: &'static str,
    /// A subcommand of git, and what is run in its place.
    pub(crate) on_git: (&'static str, &'static str),
    /// One more setting, or more of them on lines of their own; `$HERE` is the test's folder.
    pub(crate) setting: (&'static str, &'static str),
    /// The project file of the repository, if it has one.
    pub(crate) project: Option<&'static str>,
    /// What a Director answers, in its order: status and body; none for a run without one.
    pub(crate) director: &'static [(u16, &'static str)],
    /// The title of the ticket.
    pub(crate) title: &'static str,
    /// What is run in a clone of the repository before the job begins.
    pub(crate) before: &'static str,
    /// Whether what a run leaves is there for the next one.
    pub(crate) state: State,
}

/// Whether a run is told of a folder for its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is: `state` in the test's folder.
    Kept,
    /// It is not.
    None,
}

impl Default for Plan {
    /// A job that adds a file, with a claim of the app.
    fn default() -> Self {
        Self {
            claude: "echo new > new",
            on_git: NOTHING,
            setting: ("CLAIM_ID", CLAIM),
            project: None,
            director: &[],
            title: "Add it",
            before: "",
            state: State::None,
        }
    }
}

impl Scene {
    /// A job that adds a file, with a claim of the app.
    pub(crate) fn start(
        answers: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::of(Plan::default(), answers)
    }

    /// A job as planned.
    pub(crate) fn of(
        plan: Plan,
        answers: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let folder = turn::folder();
        if let Some(project) = plan.project {
            turn::commit(folder.path(), ".terarchitect.toml", project);
        }
        turn::in_seed(folder.path(), plan.before);
        let mut document = document(&url);
        document["AGENT_OUTCOME_FILE"] =
            folder.path().join("outcome.json").to_str().unwrap().into();
        if !plan.director.is_empty() {
            document["AGENT_LLM_URL"] = format!("{url}/director/v1").into();
            document["AGENT_MODEL"] = "judge".into();
            document["AGENT_API_KEY"] = DIRECTOR_KEY.into();
        }
        // Several settings have lines of their own.
        let (names, values) = plan.setting;
        for (name, value) in names.split('\n').zip(values.split('\n')) {
            document[name] = value.replace("$HERE", folder.path().to_str().unwrap()).into();
        }
        let mut program = Command::new(env!("CARGO_BIN_EXE_agent-runner"));
        if plan.state == State::Kept {
            program.env("AGENT_STATE_DIR", folder.path().join("state"));
        }
        let document = document.to_string();
        let job = turn::start_by(program, folder, plan.claude, plan.on_git, Some(&document));
        let origin = job.folder.path().join("origin");
        let servers =
            Servers::start(listener, Box::new(answers), origin, plan.director, plan.title);
        Self { job, servers, document }
    }

    /// Starts another run of the same job, once the one before is over.
    pub(crate) fn start_again(&mut self) {
        self.job.start_again(&self.document);
    }

    /// Another run of the same job, once the one before is over.
    pub(crate) fn run_again(&mut self) -> (Option<i32>, String) {
        self.start_again();
        self.job.end()
    }

    /// A run of another job of the same ticket, once the one before is over.
    pub(crate) fn run_another(&mut self) -> (Option<i32>, String) {
        let job = "5d0c2a4e-6b1f-4a39-8f57-0e9d3c7b1a26";
        self.job.start_again(&self.document.replace(JOB, job));
        self.job.end()
    }

    /// Gives the runs that begin from now on another token of the forge.
    pub(crate) fn renew_token(&mut self) {
        self.document = self.document.replace(TOKEN, "ghs_another-token-of-the-forge");
    }

    /// Edits the ticket.
    pub(crate) fn retitle(&self, title: &'static str) {
        *self.servers.title.lock().unwrap() = title;
    }

    /// How many pull requests were opened.
    pub(crate) fn pull_requests(&self) -> usize {
        self.servers.opened.lock().unwrap().len()
    }

    /// The requests so far, those of the log, the memory, of checkpoints and about cancelling left out.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let all = self.servers.requests.lock().unwrap().clone();
        all.into_iter().filter(|request| !ASIDE.contains(&request.what)).collect()
    }

    /// What the requests of this kind brought, those of the log and the memory among them.
    pub(crate) fn bodies(&self, what: &str) -> Vec<Value> {
        let all = self.servers.requests.lock().unwrap();
        all.iter().filter(|request| request.what == what).map(|one| one.body.clone()).collect()
    }

    /// What the requests were for, in their order; those of a Director apart.
    pub(crate) fn course(&self) -> Vec<&'static str> {
        let all = self.requests().into_iter().map(|request| request.what);
        all.filter(|what| *what != "director").collect()
    }

    /// What a Director was asked, in its order.
    pub(crate) fn asked_director(&self) -> Vec<Value> {
        let all = self.requests().into_iter().filter(|request| request.what == "director");
        all.map(|request| request.body).collect()
    }

    /// The entries in the ticket's log.
    pub(crate) fn log_entries(&self) -> Vec<Value> {
        self.bodies("log")
    }

    /// What git says on the remote.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let origin = self.job.folder.path().join("origin");
        let output = Command::new("git").current_dir(origin).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The steps in the ticket's log.
    pub(crate) fn steps(&self) -> Vec<String> {
        let step = |entry: &Value| entry["step"].as_str().unwrap().to_owned();
        self.log_entries().iter().map(step).collect()
    }

    /// The commit of the ticket's branch on the remote.
    pub(crate) fn pushed(&self) -> Option<String> {
        self.servers.pushed()
    }

    /// The outcome of the run.
    pub(crate) fn outcome(&self) -> OutcomeDocument {
        let text = std::fs::read_to_string(self.job.folder.path().join("outcome.json")).unwrap();
        assert!(!text.contains(TOKEN), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The branches of the remote, without the default one, with the ticket's as `ticket`.
    pub(crate) fn branches(&self) -> Vec<String> {
        let all = self.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
        let branch = format!("ticket-{TICKET}");
        let names = all.lines().filter(|name| *name != "main");
        names.map(|name| name.replace(&branch, "ticket")).collect()
    }

    /// Waits for a request of this kind, of the log's as well.
    pub(crate) fn came(&self, like: fn(&Request) -> bool) {
        eventually(|| self.servers.requests.lock().unwrap().iter().any(like).then_some(()));
    }

    /// Waits for a request.
    pub(crate) fn asked(&self, what: &str) {
        eventually(|| self.course().contains(&what).then_some(()));
    }
}

fn document(url: &str) -> Value {
    json!({
        "TERARCHITECT_API_URL": url, "PROJECT_ID": PROJECT, "TICKET_ID": TICKET, "JOB_ID": JOB,
        "CLAIM_ID": CLAIM, "REPO_URL": REPO_URL, "GITHUB_TOKEN": TOKEN,
        "FORGE_API_URL": format!("{url}/api/v3"), "WORKER_MODE": "claude-code",
        "WORKER_API_KEY": "sk-topsecret-of-the-model",
    })
}
