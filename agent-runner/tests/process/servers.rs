//! The app and the forge of a run on one address, as far as a run uses them. Every request is kept, and
//! a test may answer it itself.

use std::io::{BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use api_client::outcome::OutcomeDocument;
use serde_json::{Value, json};

use crate::http::{read, respond};
use crate::job::{JOB, Job, REPO_URL, TOKEN, eventually};
use crate::turn::{self, NOTHING};

pub(crate) const CLAIM: &str = "0b8f4e0e-8f3a-4c5e-9d1e-2f6a7c9b1d00";
pub(crate) const TICKET: &str = "c1d437f0-01dc-40f1-84f8-cda84d4af8e3";
pub(crate) const DIRECTOR_KEY: &str = "sk-topsecret-of-the-director";
const PROJECT: &str = "b0acb5a0-d0bc-4738-89d0-347ecd318506";
/// Requests that no order of things is about.
const ASIDE: [&str; 5] = ["log", "flag", "recall", "remember", "checkpoint"];
const ISSUE: &str = "/api/v3/repos/acme/demo/issues/7/";
const COMMITS: &str = "/api/v3/repos/acme/demo/commits/";
const PULLS: &str = "/api/v3/repos/acme/demo/pulls";

/// A request, and what there was to see when it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// What it is for: `renewal`, `completion`, `open`, …
    pub(crate) what: &'static str,
    /// Method and path, in lower case but for the method.
    pub(crate) line: String,
    pub(crate) body: Value,
    /// The header of that name, in lower case.
    pub(crate) authorization: String,
    /// The commit of the ticket's branch on the remote.
    pub(crate) pushed: Option<String>,
}

/// What a test answers.
pub(crate) enum Answer {
    /// This status, with an error in the body.
    Refusal(u16),
    /// What was asked is done, and this is answered all the same.
    Done(u16),
    /// No answer: the connection is closed.
    Gone,
    /// What was asked is done, and the connection is closed.
    DoneAndGone,
    /// This status and this body.
    Says(u16, Value),
    /// Nothing, until the one who asked is gone.
    Silence,
    /// What is usual.
    Usual,
}

/// A job of the app with both servers.
pub(crate) struct Scene {
    pub(crate) job: Job,
    requests: Arc<Mutex<Vec<Request>>>,
    opened: Arc<Mutex<Vec<Value>>>,
    document: String,
    title: Arc<Mutex<&'static str>>,
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

type Answers = dyn Fn(&Request, usize) -> Answer + Send + Sync;

struct Servers {
    /// Answers a request, of which so many of the same kind came before.
    answers: Box<Answers>,
    requests: Arc<Mutex<Vec<Request>>>,
    /// The pull requests that were opened, as they were asked for.
    opened: Arc<Mutex<Vec<Value>>>,
    /// What the project remembers.
    memory: Mutex<Vec<Value>>,
    origin: PathBuf,
    director: &'static [(u16, &'static str)],
    title: Arc<Mutex<&'static str>>,
    /// Questions to the Director that got no answer.
    unanswered: AtomicUsize,
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
        let requests = Arc::new(Mutex::new(Vec::new()));
        let opened = Arc::new(Mutex::new(Vec::new()));
        let title = Arc::new(Mutex::new(plan.title));
        let servers = Arc::new(Servers {
            answers: Box::new(answers),
            requests: Arc::clone(&requests),
            opened: Arc::clone(&opened),
            memory: Mutex::default(),
            origin: job.folder.path().join("origin"),
            director: plan.director,
            title: Arc::clone(&title),
            unanswered: AtomicUsize::new(0),
        });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let servers = Arc::clone(&servers);
                thread::spawn(move || servers.serve(stream));
            }
        });
        Self { job, requests, opened, document, title }
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

    /// Edits the ticket.
    pub(crate) fn retitle(&self, title: &'static str) {
        *self.title.lock().unwrap() = title;
    }

    /// How many pull requests were opened.
    pub(crate) fn pull_requests(&self) -> usize {
        self.opened.lock().unwrap().len()
    }

    /// The requests so far, those of the log, the memory, of checkpoints and about cancelling left out.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let all = self.requests.lock().unwrap().clone();
        all.into_iter().filter(|request| !ASIDE.contains(&request.what)).collect()
    }

    /// What the requests of this kind brought, those of the log and the memory among them.
    pub(crate) fn bodies(&self, what: &str) -> Vec<Value> {
        let all = self.requests.lock().unwrap();
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
        pushed(&self.job.folder.path().join("origin"))
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
        eventually(|| self.requests.lock().unwrap().iter().any(like).then_some(()));
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

impl Servers {
    fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let Some((line, authorization, body)) = read(&mut stream) else { return };
        let (what, pushed) = (kind(&line), self.pushed());
        let request = Request { what, line, body, authorization, pushed };
        let before = {
            let mut all = self.requests.lock().unwrap();
            all.push(request.clone());
            all.iter().filter(|earlier| earlier.what == request.what).count() - 1
        };
        let refused = |status| (status, json!({"error": "no", "message": "no"}));
        let answer = (self.answers)(&request, before);
        if request.what == "director" {
            if let Answer::Silence = answer {
                self.unanswered.fetch_add(1, Ordering::SeqCst);
                let _gone = stream.read_to_end(&mut Vec::new());
                return;
            }
            let number = before - self.unanswered.load(Ordering::SeqCst);
            let (status, body) = self.director.get(number).or(self.director.last()).unwrap();
            respond(&mut stream, *status, body);
            return;
        }
        let (status, body) = match answer {
            Answer::Refusal(status) => refused(status),
            Answer::Says(status, body) => (status, body),
            Answer::Silence => {
                let _gone = stream.read_to_end(&mut Vec::new());
                return;
            }
            Answer::Usual => self.usual(&request),
            Answer::Done(status) => {
                self.usual(&request);
                refused(status)
            }
            Answer::Gone => return,
            Answer::DoneAndGone => {
                self.usual(&request);
                return;
            }
        };
        respond(&mut stream, status, &body.to_string());
    }

    fn usual(&self, request: &Request) -> (u16, Value) {
        match request.what {
            "context" => (
                200,
                json!({"current_ticket": {"id": TICKET, "title": *self.title.lock().unwrap()}}),
            ),
            "flag" => (200, json!({"cancel_requested": false})),
            "find" => {
                let opened = self.opened.lock().unwrap();
                let pushed = self.pushed();
                let all = opened.iter().map(|body| pull(pushed.as_deref(), body));
                (200, all.collect())
            }
            "open" => self.open(&request.body),
            "recall" => {
                let docs = self.memory.lock().unwrap().clone();
                (200, json!({"results": [{"question": "", "docs": docs, "doc_scores": []}]}))
            }
            "remember" => {
                let docs = request.body["docs"].as_array().unwrap().clone();
                self.memory.lock().unwrap().extend(docs);
                (200, json!({"count": 1, "message": "Indexed"}))
            }
            "read" | "update" => (200, pull(self.pushed().as_deref(), &self.opened())),
            _ => (200, json!({})),
        }
    }

    fn pushed(&self) -> Option<String> {
        pushed(&self.origin)
    }

    /// Opens a pull request, unless the branch has one.
    fn open(&self, body: &Value) -> (u16, Value) {
        let mut opened = self.opened.lock().unwrap();
        if !opened.is_empty() {
            let why = "A pull request already exists for acme:it.";
            return (422, json!({"message": "Validation Failed", "errors": [{"message": why}]}));
        }
        opened.push(body.clone());
        (201, pull(self.pushed().as_deref(), body))
    }

    /// The body of the request that opened the pull request.
    fn opened(&self) -> Value {
        self.opened.lock().unwrap().first().cloned().unwrap_or_default()
    }
}

/// The commit of the ticket's branch on the remote.
fn pushed(origin: &Path) -> Option<String> {
    let branch = format!("refs/heads/ticket-{TICKET}");
    let git = ["rev-parse", "--quiet", "--verify", branch.as_str()];
    let output = Command::new("git").current_dir(origin).args(git).output().unwrap();
    let commit = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    (!commit.is_empty()).then_some(commit)
}

fn kind(line: &str) -> &'static str {
    let path = line.split(' ').nth(1).unwrap();
    let ends = |end: &str| path.ends_with(end);
    match line.split(' ').next().unwrap() {
        "GET" if ends("/worker-context") => "context",
        "GET" if ends("/cancel-requested") => "flag",
        "POST" if ends("/logs") => "log",
        "POST" if ends("/checkpoints") => "checkpoint",
        "POST" if ends("/follow-ups") => "follow_up",
        "POST" if path == "/director/v1/chat/completions" => "director",
        "POST" if path.starts_with("/api/worker/jobs/") && ends("/heartbeat") => "renewal",
        "POST" if ends(&format!("/tickets/{TICKET}/complete")) => "completion",
        "POST" if ends("/memory/retrieve") => "recall",
        "POST" if ends("/memory/index") => "remember",
        "GET" if path.starts_with(&format!("{PULLS}?")) => "find",
        "POST" if path == PULLS => "open",
        "GET" if path == format!("{PULLS}/7") => "read",
        "PATCH" if path == format!("{PULLS}/7") => "update",
        _ if ["/api/v3/user", "/api/graphql"].contains(&path) => "forge",
        _ if path.starts_with(&format!("{PULLS}/7/")) || path.starts_with(ISSUE) => "forge",
        "GET" if path.starts_with(COMMITS) => "forge",
        _ => panic!("an unexpected request: {line}"),
    }
}

fn pull(commit: Option<&str>, opened: &Value) -> Value {
    let branch = format!("ticket-{TICKET}");
    json!({
        "number": 7, "html_url": "http://forge/acme/demo/pull/7", "state": "open",
        "draft": opened["draft"].as_bool().unwrap_or(false), "body": opened["body"],
        "head": {"ref": branch, "sha": commit, "label": format!("acme:{branch}"), "repo": {"id": 5}},
        "base": {"ref": opened["base"].as_str().unwrap_or("main"), "sha": commit, "repo": {"id": 5}},
    })
}
