//! The real coordinator, with a state directory, settings and an agent stub of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api_client::JobId;
use nix::unistd::geteuid;
use tempfile::TempDir;
use tokio::process::Command;

use super::app::KEY;
use super::engine::remove_containers;
use super::program::{Running, program};
use super::stub::{STUB_IMAGE, StubRunner};
use super::wait::eventually;

/// How long a command of an operator may take: a check starts containers.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// Where a coordinator lives: it may be started, ended and started again. Its containers are
/// removed when this is dropped.
#[derive(Debug)]
pub struct Home {
    dir: TempDir,
    settings: BTreeMap<String, String>,
    runner: StubRunner,
    starts: u32,
    user: Option<u32>,
}

/// A coordinator that runs.
pub type Coordinator = Running;

impl Home {
    /// A home whose coordinator asks the app at `app_url` often, runs the stub in plain containers
    /// and has no cache volume.
    pub fn new(app_url: &str) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let runner = StubRunner::install(dir.path());
        let mut home = Self { settings: BTreeMap::new(), starts: 0, user: None, runner, dir };
        let state = home.state_dir().display().to_string();
        let runner = home.runner.path().display().to_string();
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            home.set("DOCKER_HOST", &host);
        }
        for (name, value) in [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", home.dir.path().to_str().expect("a path in UTF-8").to_owned().as_str()),
            ("TERARCHITECT_API_URL", app_url),
            ("TERARCHITECT_WORKER_API_KEY", KEY),
            ("COORDINATOR_STATE_DIR", &state),
            ("AGENT_RUNNER_PATH", &runner),
            ("AGENT_IMAGE", STUB_IMAGE),
            ("AGENT_DOCKER_MODE", "none"),
            ("AGENT_CACHE_VOLUME", ""),
            ("POLL_INTERVAL_SEC", "0.1"),
            ("BREAKER_OPEN", "0.5"),
            ("DISK_FLOOR_MIB", "0"),
            ("LOG_FORMAT", "pretty"),
            ("LOG_LEVEL", "debug"),
        ] {
            home.set(name, value);
        }
        home
    }

    /// Sets an environment variable of the coordinator.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Takes one away.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.settings.remove(name);
        self
    }

    /// All of them with their values.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The environment variables that are set.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.settings.keys().map(String::as_str)
    }

    /// Gives the home and all that is in it to another user, as whom the coordinator then runs. Only root
    /// can; false where we are not.
    pub fn give_to(&mut self, user: u32) -> bool {
        if !geteuid().is_root() {
            return false;
        }
        let given = std::process::Command::new("chown")
            .arg("-R")
            .arg(format!("{user}:{user}"))
            .arg(self.dir.path())
            .status();
        assert!(given.expect("chown is there").success());
        self.user = Some(user);
        true
    }

    /// Starts the coordinator. It may not have begun when this returns.
    pub fn start(&mut self) -> Coordinator {
        self.start_with(&[])
    }

    /// Starts `coordinator run` with further arguments.
    pub fn start_with(&mut self, arguments: &[&str]) -> Coordinator {
        let mut command = Command::new(program("coordinator"));
        command.arg("run").args(arguments);
        self.start_command(command)
    }

    /// Starts it by a program, given with its arguments, that becomes the one named after them.
    pub fn start_under(&mut self, wrapper: &[String]) -> Coordinator {
        let (first, arguments) = wrapper.split_first().expect("a program");
        let mut command = Command::new(first);
        command.args(arguments).arg(program("coordinator")).arg("run");
        self.start_command(command)
    }

    /// Runs another command of the program with these settings, and returns its exit code and what
    /// it printed.
    pub async fn command(&mut self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(program("coordinator"));
        command.args(arguments);
        let mut running = self.start_command(command);
        let status = running.wait_within(COMMAND_LIMIT).await;
        (status.code(), running.log())
    }

    fn start_command(&mut self, mut command: Command) -> Coordinator {
        self.starts += 1;
        let log = self.dir.path().join(format!("coordinator.{}.log", self.starts));
        command.env_clear().envs(&self.settings);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        Running::start(command, &log)
    }

    /// Runs it once, and returns its exit code and what it printed.
    pub async fn run_once(&mut self) -> (Option<i32>, String) {
        let mut once = self.start_with(&["--once"]);
        let status = once.wait().await;
        (status.code(), once.log())
    }

    /// The state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Which coordinator it is: known once it was started.
    pub fn id(&self) -> Option<String> {
        let text = fs::read_to_string(self.state_dir().join("coordinator-id")).ok()?;
        Some(text.trim().to_owned())
    }

    /// What the agent of a job printed, as the coordinator keeps it.
    pub fn job_log(&self, job: JobId) -> String {
        fs::read_to_string(self.job_log_path(job)).unwrap_or_default()
    }

    /// Waits until the coordinator knows that a job's agent has come to a `pause`, wherever that runs.
    pub async fn pausing(&self, job: JobId) {
        eventually("an agent that pauses", async || {
            self.job_log(job).contains("pausing\n").then_some(())
        })
        .await;
    }

    /// Where that log is kept.
    pub fn job_log_path(&self, job: JobId) -> PathBuf {
        self.state_dir().join("logs").join(format!("{job}.log"))
    }

    /// The jobs that it holds, by the names of its records.
    pub fn records(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.state_dir().join("jobs")) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|end| end == "json")).collect()
    }

    /// Everything that it wrote, its own log included: path and content.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        collect(self.dir.path(), &mut files);
        files
    }

    /// The agents that were started on this host, by process id.
    pub fn host_runs(&self) -> Vec<u32> {
        self.runner.host_runs()
    }

    /// Removes the containers of this coordinator, whatever it does at the time.
    pub(super) fn remove_containers(&self) {
        if let Some(id) = self.id() {
            remove_containers(id);
        }
    }

    /// A folder for further files of the test.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.end_host_runs();
        self.remove_containers();
    }
}

fn collect(dir: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        // A file that is just being replaced is looked at under its new name.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            collect(&entry.path(), files);
        } else if kind.is_file()
            && let Ok(content) = fs::read(entry.path())
        {
            files.push((entry.path(), content));
        }
    }
}
