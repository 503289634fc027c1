//! Starts the real binary on a free port and talks to it.

mod claims;
pub(crate) mod description;
pub(crate) mod embedding;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use api_client::wire::Job;
use api_client::{Claim, JobId, ProjectId, Secret, TicketId, WorkerApi};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use claims::{by, claim_as, claimed_as, failure, fenced};

/// The key of every server here.
pub(crate) const KEY: &str = "worker-key-0123456789";

/// How long to wait for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running server with its database in a folder of its own.
pub(crate) struct App {
    child: Child,
    log: mpsc::Receiver<String>,
    logged: Vec<String>,
    pub(crate) url: String,
    pub(crate) http: Client,
    folder: TempDir,
    options: &'static [&'static str],
    environment: Vec<(&'static str, String)>,
}

/// The binary without anything of the environment that it reads.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_terarchitect-app"));
    for name in [
        "TERARCHITECT_WORKER_API_KEY",
        "TERARCHITECT_API_URL",
        "TERARCHITECT_APP_LEASE_SEC",
        "TERARCHITECT_APP_MAX_ATTEMPTS",
        "TERARCHITECT_APP_ORIGINAL",
        "TERARCHITECT_APP_REVIEW_POLL_SEC",
        "TERARCHITECT_APP_REVIEW_DEBOUNCE_SEC",
        "TERARCHITECT_APP_REVIEW_ATTEMPTS",
        "TERARCHITECT_APP_REVIEW_BACKOFF_SEC",
        "TERARCHITECT_APP_EMBEDDING_URL",
        "TERARCHITECT_APP_EMBEDDING_MODEL",
        "TERARCHITECT_APP_EMBEDDING_KEY",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
    command
}

fn spawn(
    db: &Path,
    options: &[&str],
    environment: &[(&str, String)],
) -> (Child, mpsc::Receiver<String>, String) {
    let mut child = binary()
        .args(["serve", "--listen", "127.0.0.1:0", "--db"])
        .arg(db)
        .args(options)
        .envs([("TERARCHITECT_WORKER_API_KEY", KEY), ("RUST_LOG", "trace")])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, log) = mpsc::channel();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in stderr.lines() {
            if sender.send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    (child, log, url)
}

impl App {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With these further options of `serve`.
    pub(crate) fn start_with(options: &'static [&'static str]) -> Self {
        Self::start_in(options, Vec::new())
    }

    /// With these options of `serve`, and these variables in its environment.
    pub(crate) fn start_in(
        options: &'static [&'static str],
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (child, log, url) = spawn(&folder.path().join("app.db"), options, &environment);
        let http = api_client::http::http_client("test/1").build().unwrap();
        Self { child, log, logged: Vec::new(), url, http, folder, options, environment }
    }

    /// The server dies without a word and is started again on the same database.
    pub(crate) fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again, which has ended.
    pub(crate) fn restart(&mut self) {
        let db = self.folder.path().join("app.db");
        (self.child, self.log, self.url) = spawn(&db, self.options, &self.environment);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Waits until the server logs a line with these words.
    pub(crate) fn wait_for_log(&mut self, words: &str) {
        while let Ok(line) = self.log.recv() {
            let found = line.contains(words);
            self.logged.push(line);
            if found {
                return;
            }
        }
        panic!("the server ended without logging {words:?}");
    }

    /// Ends the server: all that it logged, and the bytes of its database.
    pub(crate) fn stop(mut self) -> (String, Vec<u8>) {
        self.signal(Signal::SIGTERM);
        assert!(self.wait().success());
        self.logged.extend(self.log.iter());
        (self.logged.join("\n"), std::fs::read(self.folder.path().join("app.db")).unwrap())
    }

    pub(crate) fn worker_api(&self) -> WorkerApi {
        WorkerApi::new(&self.url.parse().unwrap(), Some(Secret::from(KEY)), "test/1").unwrap()
    }

    /// One request with the key and, if there is a body, as JSON.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = request.header(AUTHORIZATION, format!("Bearer {KEY}"));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        read(request).await
    }

    /// A POST of these bytes with the key, and with a content type if one is given.
    pub(crate) async fn post_raw(
        &self,
        path: &str,
        kind: Option<&str>,
        body: impl Into<Vec<u8>>,
    ) -> (StatusCode, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).body(body.into());
        let request = request.header(AUTHORIZATION, format!("Bearer {KEY}"));
        read(match kind {
            Some(kind) => request.header(CONTENT_TYPE, kind),
            None => request,
        })
        .await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, value) = self.call(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {value}");
        value
    }

    pub(crate) async fn add_project(&self) -> ProjectId {
        let body = json!({"name": "demo", "repo_url": "https://github.com/acme/demo"});
        let (status, project) = self.call(Method::POST, "/api/projects", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{project}");
        serde_json::from_value(project["id"].clone()).unwrap()
    }

    pub(crate) async fn add_ticket(&self, project: ProjectId, title: &str) -> TicketId {
        let path = format!("/api/projects/{project}/tickets");
        let body = json!({"title": title, "description": "do it"});
        let (status, ticket) = self.call(Method::POST, &path, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{ticket}");
        serde_json::from_value(ticket["id"].clone()).unwrap()
    }

    /// Moves a ticket to In Progress and answers it.
    pub(crate) async fn start_ticket(&self, project: ProjectId, ticket: TicketId) -> Value {
        let path = ticket_path(project, ticket, "");
        let body = json!({"column_id": "in_progress"});
        let (status, ticket) = self.call(Method::PATCH, &path, Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{ticket}");
        ticket
    }

    /// A project with one ticket in progress, its job claimed.
    pub(crate) async fn claimed(&self) -> Job {
        let project = self.add_project().await;
        let ticket = self.add_ticket(project, "Add login").await;
        self.start_ticket(project, ticket).await;
        claim(&self.worker_api(), Some(project)).await.unwrap()
    }

    /// This many tickets in progress, their jobs waiting.
    pub(crate) async fn waiting(&self, count: usize) -> ProjectId {
        let project = self.add_project().await;
        for number in 0..count {
            let ticket = self.add_ticket(project, &format!("t{number}")).await;
            self.start_ticket(project, ticket).await;
        }
        project
    }

    /// Asks for a job until it has this status.
    pub(crate) async fn wait_for_status(&self, id: JobId, status: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let job = self.job(id).await;
            if job["status"] == status {
                return job;
            }
            assert!(Instant::now() < deadline, "not {status}: {job}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn job(&self, id: JobId) -> Value {
        self.get(&format!("/api/jobs/{id}")).await
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // Fails when the test has ended the server itself.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

pub(crate) async fn claim(api: &WorkerApi, project: Option<ProjectId>) -> Option<Job> {
    job_of(api.claim(project, None).await.unwrap())
}

fn job_of(claim: Claim) -> Option<Job> {
    match claim {
        Claim::Empty => None,
        Claim::Job(job) => Some(*job),
    }
}

pub(crate) fn ticket_path(project: ProjectId, ticket: TicketId, leaf: &str) -> String {
    format!("/api/projects/{project}/tickets/{ticket}{leaf}")
}

/// A file with this text in a new folder.
pub(crate) fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// The status and the JSON body; null for an empty body. The answer is as the server describes it.
async fn read(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let (http, request) = request.build_split();
    let request = request.unwrap();
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = http.execute(request).await.unwrap();
    let status = response.status();
    let body = response.bytes().await.unwrap();
    let value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    description::check_answer(method.as_str(), &path, status.as_u16(), &value);
    (status, value)
}
