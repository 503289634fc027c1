//! The real app on a database of its own, and a small client of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api_client::{JobId, ProjectId, TicketId};
use nix::sys::signal::Signal;
use reqwest::{Client, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::program::{Running, program};
use super::wait::eventually;

/// The key of every app here: recognisable wherever it should not be.
pub const KEY: &str = "worker-key-for-tests-8d1f";

/// Where an app reads it from, in its folder.
const KEY_FILE: &str = "key";

/// A job, as the app shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    /// Its id.
    pub job_id: JobId,
    /// The project of its ticket.
    pub project_id: ProjectId,
    /// Its ticket.
    pub ticket_id: TicketId,
    /// `pending`, `running`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// How often it was claimed.
    pub attempt: u32,
    /// Why it failed.
    pub fail_reason: Option<String>,
    /// The same in one word.
    pub fail_cause: Option<String>,
    /// When it is due, where it is parked.
    pub not_before: Option<String>,
}

/// An entry of a ticket's log.
#[derive(Clone, Debug, Deserialize)]
pub struct LogRecord {
    /// Name of the step.
    pub step: String,
    /// One line.
    pub summary: String,
    /// Longer output.
    pub raw_output: Option<String>,
}

/// A running app.
#[derive(Debug)]
pub struct App {
    running: Option<Running>,
    flags: &'static [&'static str],
    port: u16,
    generation: u32,
    key: String,
    http: Client,
    folder: TempDir,
}

impl App {
    /// Starts an app that containers can reach as well. It wants [`KEY`].
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same without what the original app does not know.
    pub async fn start_original() -> Self {
        Self::start_with(&["--original"]).await
    }

    /// The same with these flags of `terarchitect-app serve`.
    pub async fn start_with(flags: &'static [&'static str]) -> Self {
        Self::start_keyed(flags, KEY).await
    }

    /// The same with a key of its own.
    pub async fn start_keyed(flags: &'static [&'static str], key: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::write(folder.path().join(KEY_FILE), key).expect("a file in a folder of ours");
        let http = api_client::http::http_client("integration-tests").build().unwrap();
        let key = key.to_owned();
        let mut app = Self { running: None, flags, port: 0, generation: 0, key, http, folder };
        app.restart().await;
        app
    }

    /// Starts it again, on the same port and database.
    pub async fn restart(&mut self) {
        self.generation += 1;
        let port_file = self.folder.path().join(format!("port.{}", self.generation));
        let mut command = Command::new(program("terarchitect-app"));
        command.env_clear();
        // A test's forge is asked by the review loop where the test wants it: flags win over this.
        command.env("TERARCHITECT_APP_REVIEW_POLL_SEC", "0");
        command.args(["serve", "--listen", &format!("0.0.0.0:{}", self.port), "--db"]);
        command.arg(self.folder.path().join("app.db")).arg("--port-file").arg(&port_file);
        command.arg("--key-file").arg(self.folder.path().join(KEY_FILE));
        command.args(self.flags);
        self.running = Some(Running::start(command, &self.log_path()));
        self.port = eventually("the app's port", async || {
            std::fs::read_to_string(&port_file).ok()?.trim().parse().ok()
        })
        .await;
    }

    /// Starts it again with another key: the one before is worth nothing any more.
    pub async fn change_key(&mut self, key: &str) {
        self.stop().await;
        std::fs::write(self.folder.path().join(KEY_FILE), key).expect("a file of ours");
        key.clone_into(&mut self.key);
        self.restart().await;
    }

    /// Stops it.
    pub async fn stop(&mut self) {
        self.running.take().expect("it runs").terminate().await;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.running.as_ref().expect("it runs").signal(signal);
    }

    /// Its base URL, as seen from this host.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds a project with this repository.
    pub async fn add_project(&self, repo_url: &str) -> ProjectId {
        let body = json!({ "name": "test", "repo_url": repo_url });
        field(&self.call(Method::POST, "/api/projects", Some(body)).await, "id")
    }

    /// Adds a project whose jobs run on the coordinator's host, in this folder.
    pub async fn add_local_project(&self, path: &Path) -> ProjectId {
        let body = json!({ "name": "test", "execution_mode": "local", "project_path": path });
        field(&self.call(Method::POST, "/api/projects", Some(body)).await, "id")
    }

    /// Sets how many tokens the jobs of a project may use in a day.
    pub async fn set_day_budget(&self, project: ProjectId, tokens: u64) {
        let body = json!({ "token_budget_per_day": tokens });
        let _project: Value =
            self.call(Method::PATCH, &format!("/api/projects/{project}"), Some(body)).await;
    }

    /// Adds a ticket without a job.
    pub async fn add_ticket(&self, project: ProjectId) -> TicketId {
        self.add_described_ticket(project, "test", "").await
    }

    /// Adds a ticket and puts its job in the queue.
    pub async fn add_job(&self, project: ProjectId) -> Job {
        self.add_titled_job(project, "test").await
    }

    /// The same with a title, by which a model can tell it from others.
    pub async fn add_titled_job(&self, project: ProjectId, title: &str) -> Job {
        self.add_described_job(project, title, "").await
    }

    /// The same with a description.
    pub async fn add_described_job(
        &self,
        project: ProjectId,
        title: &str,
        description: &str,
    ) -> Job {
        let ticket = self.add_described_ticket(project, title, description).await;
        let path = format!("/api/projects/{project}/tickets/{ticket}");
        let body = json!({ "column_id": "in_progress" });
        let ticket: Value = self.call(Method::PATCH, &path, Some(body)).await;
        self.job(field(&ticket["job"], "job_id")).await
    }

    /// Adds this many jobs, each with a ticket of its own.
    pub async fn add_jobs(&self, project: ProjectId, count: usize) -> Vec<Job> {
        let mut jobs = Vec::new();
        for _ in 0..count {
            jobs.push(self.add_job(project).await);
        }
        jobs
    }

    /// Puts a review job in the queue.
    pub async fn add_review(&self, project: ProjectId, comment: &str) -> Job {
        let ticket = self.add_ticket(project).await;
        let path = format!("/api/projects/{project}/tickets/{ticket}/reviews");
        let body = json!({ "pr_number": 7, "comment_body": comment, "github_comment_id": 70 });
        self.call(Method::POST, &path, Some(body)).await
    }

    /// Adds a ticket that is in review with this pull request.
    pub async fn add_delivered_ticket(&self, project: ProjectId, pr_number: u64) -> TicketId {
        let ticket = self.add_ticket(project).await;
        let path = format!("/api/projects/{project}/tickets/{ticket}/complete");
        let pr_url = format!("https://forge.example/pull/{pr_number}");
        let body = json!({ "summary": "done", "pr_url": pr_url, "pr_number": pr_number });
        let _moved: Value = self.call(Method::POST, &path, Some(body)).await;
        ticket
    }

    /// A ticket as the app shows it.
    pub async fn ticket(&self, ticket: TicketId) -> Value {
        self.call(Method::GET, &format!("/api/tickets/{ticket}"), None).await
    }

    /// All jobs of a project as the app shows them, oldest first.
    pub async fn jobs_of(&self, project: ProjectId) -> Vec<Value> {
        let path = format!("/api/jobs?project_id={project}");
        let mut jobs: Vec<Value> = self.call(Method::GET, &path, None).await;
        jobs.reverse();
        jobs
    }

    /// Asks for the end of a job's ticket.
    pub async fn cancel(&self, job: &Job) {
        let (project, ticket) = (job.project_id, job.ticket_id);
        let path = format!("/api/projects/{project}/tickets/{ticket}/cancel");
        let _answer: Value = self.call(Method::POST, &path, None).await;
    }

    /// Puts a job of a ticket that has had one in the queue.
    pub async fn add_job_again(&self, before: &Job) -> Job {
        let (project, ticket) = (before.project_id, before.ticket_id);
        let path = format!("/api/projects/{project}/tickets/{ticket}");
        for column in ["backlog", "in_progress"] {
            let _moved: Value =
                self.call(Method::PATCH, &path, Some(json!({ "column_id": column }))).await;
        }
        let ticket: Value = self.call(Method::GET, &path, None).await;
        self.job(field(&ticket["job"], "job_id")).await
    }

    /// A job.
    pub async fn job(&self, id: JobId) -> Job {
        self.call(Method::GET, &format!("/api/jobs/{id}"), None).await
    }

    /// How many jobs there are of each status.
    pub async fn counts(&self) -> BTreeMap<String, usize> {
        let jobs: Vec<Job> = self.call(Method::GET, "/api/jobs?limit=10000", None).await;
        let mut counts = BTreeMap::new();
        for job in jobs {
            *counts.entry(job.status).or_default() += 1;
        }
        counts
    }

    /// Waits until a job has ended one way or the other.
    pub async fn ended(&self, id: JobId) -> Job {
        eventually("the end of a job", async || {
            let job = self.job(id).await;
            matches!(job.status.as_str(), "completed" | "failed" | "cancelled").then_some(job)
        })
        .await
    }

    /// Waits until a job is claimed.
    pub async fn claimed(&self, id: JobId) {
        eventually("the claim of a job", async || {
            (self.job(id).await.status != "pending").then_some(())
        })
        .await;
    }

    /// Waits until this many jobs have a status.
    pub async fn reached(&self, status: &str, count: usize) {
        eventually(&format!("{count} jobs to be {status}"), async || {
            (self.counts().await.get(status).copied().unwrap_or(0) == count).then_some(())
        })
        .await;
    }

    /// The log of a job's ticket, oldest first.
    pub async fn ticket_log(&self, job: &Job) -> Vec<LogRecord> {
        let (project, ticket) = (job.project_id, job.ticket_id);
        let path = format!("/api/projects/{project}/tickets/{ticket}/logs");
        self.call(Method::GET, &path, None).await
    }

    /// Adds an entry to the log of a job's ticket, as an agent does.
    pub async fn tell(&self, job: &Job, summary: &str) {
        let (project, ticket) = (job.project_id, job.ticket_id);
        let path = format!("/api/projects/{project}/tickets/{ticket}/logs");
        let body = json!({ "session_id": "test", "step": "test", "summary": summary });
        let _logged: Value = self.call(Method::POST, &path, Some(body)).await;
    }

    /// Changes a setting; a null unsets it.
    pub async fn set(&self, name: &str, value: impl Into<Value>) {
        let body = json!({ name: value.into() });
        let _settings: Value = self.call(Method::PUT, "/api/settings", Some(body)).await;
    }

    /// Sets what the stub does in every job (see [`StubRunner`](super::StubRunner)).
    pub async fn set_script(&self, script: &str) {
        assert!(!script.contains(['"', '\\']), "the stub takes no escapes: {script}");
        self.set("WORKER_MODEL", script).await;
    }

    async fn add_described_ticket(
        &self,
        project: ProjectId,
        title: &str,
        description: &str,
    ) -> TicketId {
        let path = format!("/api/projects/{project}/tickets");
        let body = json!({ "title": title, "description": description });
        field(&self.call(Method::POST, &path, Some(body)).await, "id")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join(format!("app.{}.log", self.generation))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> T {
        let request =
            self.http.request(method, format!("{}{path}", self.url())).bearer_auth(&self.key);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }
}

fn field<T: DeserializeOwned>(value: &Value, name: &str) -> T {
    let found = T::deserialize(&value[name]);
    found.unwrap_or_else(|error| panic!("{name} of {value}: {error}"))
}
