//! The app and the forge of a run on one address, as far as a run uses them, and its Director. Every request is kept,
//! and a test may answer it itself.

use std::io::{BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::http::{read, respond};

pub(crate) const TICKET: &str = "c1d437f0-01dc-40f1-84f8-cda84d4af8e3";
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

/// What they answer with: what a test wants, and what there is.
pub(crate) struct Servers {
    /// Answers a request, of which so many of the same kind came before.
    answers: Box<Answers>,
    pub(crate) requests: Mutex<Vec<Request>>,
    /// The pull requests that were opened, as they were asked for.
    pub(crate) opened: Mutex<Vec<Value>>,
    /// What the project remembers.
    memory: Mutex<Vec<Value>>,
    origin: PathBuf,
    director: &'static [(u16, &'static str)],
    /// The title of the ticket.
    pub(crate) title: Mutex<&'static str>,
    /// Questions to the Director that got no answer.
    unanswered: AtomicUsize,
}

/// Answers a request, of which so many of the same kind came before.
pub(crate) type Answers = dyn Fn(&Request, usize) -> Answer + Send + Sync;

impl Servers {
    /// Answers whoever comes to `listener`, about the repository in `origin`.
    pub(crate) fn start(
        listener: TcpListener,
        answers: Box<Answers>,
        origin: PathBuf,
        director: &'static [(u16, &'static str)],
        title: &'static str,
    ) -> Arc<Self> {
        let servers = Arc::new(Self {
            answers,
            requests: Mutex::default(),
            opened: Mutex::default(),
            memory: Mutex::default(),
            origin,
            director,
            title: Mutex::new(title),
            unanswered: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&servers);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let servers = Arc::clone(&serving);
                thread::spawn(move || servers.serve(stream));
            }
        });
        servers
    }

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

    /// The commit of the ticket's branch on the remote.
    pub(crate) fn pushed(&self) -> Option<String> {
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
