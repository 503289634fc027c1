//! One run of the program, with a `git` of our own at the front of `PATH`: the first thing that a job
//! starts, so a place from which to see and disturb it.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) const JOB: &str = "93863a0a-985e-474b-a6b2-40a89654e6bf";
pub(crate) const TOKEN: &str = "ghp_topsecret_of_the_forge";
pub(crate) const REPO_URL: &str = "http://127.0.0.1:1/acme/demo";
const PATIENCE: Duration = Duration::from_secs(20);
/// Those who stop a run kill it 10 s later.
const STOP_LIMIT: Duration = Duration::from_secs(8);
const LOG: &str = "log";

/// A run with a `git` that is this script. `$0`'s folder is `$HERE`.
pub(crate) struct Job {
    pub(crate) folder: TempDir,
    pub(crate) process: Child,
    /// What a test set in its environment.
    environment: Vec<(OsString, OsString)>,
    stdout: BufReader<ChildStdout>,
}

impl Job {
    pub(crate) fn start(git: &str, document: Option<&str>) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_agent-runner"));
        Self::start_by(program, tempfile::tempdir().unwrap(), git, document)
    }

    /// The same by another command, with what is set in its environment, in a folder that may hold more programs.
    pub(crate) fn start_by(
        mut command: Command,
        folder: TempDir,
        git: &str,
        document: Option<&str>,
    ) -> Self {
        write_script(folder.path(), "git", git);
        let environment = set_in(&command);
        command
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .env("TMPDIR", folder.path());
        if document.is_some() {
            command.env("TERARCHITECT_JOB_DOCUMENT", "stdin");
        } else {
            command
                .env("TASK", "Do it")
                .env("REPO_URL", REPO_URL)
                .env("FORGE_API_URL", "http://127.0.0.1:1/api/v3")
                .env("GITHUB_TOKEN", TOKEN)
                .env("WORKER_MODE", "claude-code")
                .env("WORKER_API_KEY", "sk-topsecret-of-the-model");
        }
        let (process, stdout) = spawn(&mut command, folder.path(), document.unwrap_or_default());
        Self { folder, process, environment, stdout }
    }

    /// The same once more, in the same folder, by a document.
    pub(crate) fn start_again(&mut self, document: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent-runner"));
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("PATH", format!("{}:/usr/bin:/bin", self.folder.path().display()))
            .env("TMPDIR", self.folder.path())
            .env("TERARCHITECT_JOB_DOCUMENT", "stdin");
        (self.process, self.stdout) = spawn(&mut command, self.folder.path(), document);
    }

    /// Ends it as the end of its machine would: the inner process first, which would tidy up otherwise.
    pub(crate) fn kill(&mut self) {
        let outer = self.process.id().cast_signed();
        for pid in below(outer).into_iter().chain([outer]) {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.process.wait().unwrap();
    }

    pub(crate) fn first_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Waits until the script has written this file; its text.
    pub(crate) fn file(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        eventually(|| fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n')))
    }

    /// Waits until its log has these words.
    pub(crate) fn logged(&self, words: &str) {
        eventually(|| self.log().contains(words).then_some(()));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).unwrap();
    }

    /// Exit code and standard error.
    pub(crate) fn end(&mut self) -> (Option<i32>, String) {
        let code = self.process.wait().unwrap().code();
        (code, self.log())
    }

    /// The same of a run that was told to stop just now, which must not take long.
    pub(crate) fn end_soon(&mut self) -> (Option<i32>, String) {
        let told = Instant::now();
        let ended = self.end();
        let took = told.elapsed();
        assert!(took < STOP_LIMIT, "{took:?}: {}", ended.1);
        ended
    }
}

/// What is set in the environment of a command.
fn set_in(command: &Command) -> Vec<(OsString, OsString)> {
    let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Starts it, and gives it the document.
fn spawn(command: &mut Command, folder: &Path, document: &str) -> (Child, BufReader<ChildStdout>) {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(folder.join(LOG)).unwrap())
        .spawn()
        .unwrap();
    fs::write(folder.join("first"), format!("{}\n", process.id())).unwrap();
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(document.as_bytes()).unwrap();
    drop(stdin);
    let stdout = BufReader::new(process.stdout.take().unwrap());
    (process, stdout)
}

/// Every process below this one, its children first.
fn below(root: i32) -> Vec<i32> {
    let parent = |pid: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        line.trim().parse::<i32>().ok()
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let all: Vec<(i32, i32)> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let of = found[next];
        found.extend(all.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// Writes a shell script that finds `folder` as `$HERE`.
pub(crate) fn write_script(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\nHERE='{}'\n{text}\n", folder.display())).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
}

/// Looks until there is something to see: other processes raise no event for us.
pub(crate) fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < give_up, "nothing happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}
