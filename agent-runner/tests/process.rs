//! The program as a process: its first line, its exit code, its signals, and what it leaves behind.
//!
//! A `git` of our own stands in for the real one, at the front of `PATH`: the first thing that a job
//! starts, so a place from which to see and disturb it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use api_client::contract::{AgentExit, STARTED_LINE};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const JOB: &str = "93863a0a-985e-474b-a6b2-40a89654e6bf";
const TOKEN: &str = "ghp_topsecret_of_the_forge";
const PATIENCE: Duration = Duration::from_secs(20);

/// A run with a `git` that is this script. `$0`'s folder is `$HERE`.
struct Job {
    folder: TempDir,
    process: Child,
    stdout: BufReader<ChildStdout>,
}

impl Job {
    fn start(git: &str, document: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("git");
        fs::write(&script, format!("#!/bin/sh\nHERE='{}'\n{git}\n", folder.path().display()))
            .unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent-runner"));
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .env("TMPDIR", folder.path());
        if document.is_some() {
            command.env("TERARCHITECT_JOB_DOCUMENT", "stdin");
        } else {
            command
                .env("TASK", "Do it")
                .env("REPO_URL", "http://127.0.0.1:1/acme/demo")
                .env("FORGE_API_URL", "http://127.0.0.1:1/api/v3")
                .env("GITHUB_TOKEN", TOKEN)
                .env("WORKER_MODE", "claude-code")
                .env("WORKER_API_KEY", "sk-topsecret-of-the-model");
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        fs::write(folder.path().join("first"), format!("{}\n", process.id())).unwrap();
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(document.unwrap_or_default().as_bytes()).unwrap();
        drop(stdin);
        let stdout = BufReader::new(process.stdout.take().unwrap());
        Self { folder, process, stdout }
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Waits until the script has written this file; its text.
    fn file(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        eventually(|| fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n')))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).unwrap();
    }

    /// Exit code and standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let mut stderr = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.process.wait().unwrap().code(), stderr)
    }
}

/// Looks until there is something to see: other processes raise no event for us.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < give_up, "nothing happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn pid(text: &str) -> i32 {
    text.trim().parse().unwrap()
}

fn exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn status_field(pid: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
    line.trim().to_owned()
}

#[test]
fn it_says_that_it_began_before_it_judges_a_setting() {
    let mut job = Job::start("exit 1", Some("{}"));
    assert_eq!(
        job.first_line(),
        format!("{STARTED_LINE} version={} job=-\n", env!("CARGO_PKG_VERSION"))
    );
    let (code, stderr) = job.end();
    assert_eq!(code, Some(i32::from(AgentExit::Misconfigured.code())));
    assert!(stderr.contains("TICKET_ID is not set"), "{stderr}");
}

#[test]
fn the_job_document_names_the_job_and_a_broken_one_is_a_wrong_setting() {
    let mut job = Job::start("exit 1", Some(&format!(r#"{{"JOB_ID":"{JOB}"}}"#)));
    assert!(job.first_line().ends_with(&format!(" job={JOB}\n")));
    let mut job = Job::start("exit 1", Some(r#"{"GITHUB_TOKEN": topsecret}"#));
    assert!(job.first_line().starts_with(STARTED_LINE));
    let (code, stderr) = job.end();
    assert_eq!(code, Some(i32::from(AgentExit::Misconfigured.code())));
    assert!(stderr.contains("job document") && !stderr.contains("topsecret"), "{stderr}");
}

#[test]
fn a_review_is_refused_with_an_exit_code_of_its_own() {
    let document = r#"{"JOB_KIND":"review","TASK":"x"}"#;
    let (code, stderr) = Job::start("exit 1", Some(document)).end();
    assert_eq!(code, Some(i32::from(AgentExit::NotSupported.code())));
    assert!(stderr.contains("review jobs cannot be done"), "{stderr}");
}

#[test]
fn a_repository_that_cannot_be_had_has_its_exit_code() {
    let (code, stderr) = Job::start("echo 'fatal: no' >&2; exit 128", None).end();
    assert_eq!(code, Some(i32::from(AgentExit::CloneFailed.code())), "{stderr}");
}

#[test]
fn sigterm_and_sigint_cancel_the_run() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let job = Job::start("echo $$ > $HERE/started; exec sleep 1000", None);
        let git = pid(&job.file("started"));
        let blocked = status_field(git, "SigBlk");
        assert_eq!(blocked, "0000000000000000", "what it starts can be ended by signals too");
        job.signal(signal);
        let (code, stderr) = job.end();
        assert_eq!(code, Some(i32::from(AgentExit::Cancelled.code())), "{stderr}");
        assert!(!exists(git));
    }
}

#[test]
fn an_orphan_is_reaped_while_the_job_runs() {
    let orphan = "sh -c 'sh -c \"echo \\$\\$ > $0/orphan; exec sleep 0.2\" &' $HERE";
    let job = Job::start(&format!("{orphan}\necho up > $HERE/started; exec sleep 1000"), None);
    let orphan = pid(&job.file("orphan"));
    job.file("started");
    // A zombie would stay until its parent asks for it.
    eventually(|| (!exists(orphan)).then_some(()));
    job.signal(Signal::SIGTERM);
    job.end();
}

#[test]
fn what_a_job_leaves_behind_is_ended_with_it() {
    let daemon = "setsid sh -c 'trap \"\" TERM HUP; echo $$ > $0/daemon; exec sleep 1000' $HERE \
        </dev/null >/dev/null 2>&1 &";
    let job =
        Job::start(&format!("{daemon}\nwhile ! [ -s $HERE/daemon ]; do :; done; exit 128"), None);
    let daemon = pid(&job.file("daemon"));
    job.end();
    assert!(!exists(daemon));
}

#[test]
fn no_secret_is_in_the_environment_or_the_arguments_of_what_the_job_starts() {
    // Up to and including the process that was started with the secrets, and what their files hold.
    let script = "p=$$; while :; do cat /proc/$p/environ /proc/$p/cmdline; \
        [ $p = $$ ] || timeout 1 cat /proc/$p/fd/0; [ $p = $(cat $HERE/first) ] && break; \
        p=$(awk '/^PPid/ {print $2}' /proc/$p/status); done > $HERE/seen; echo >> $HERE/seen; exit 128";
    let job = Job::start(script, None);
    let seen = fs_text(&job, "seen");
    for part in ["ls-remote", "inner", "outer"] {
        assert!(seen.contains(part), "{part:?} is not in {seen}");
    }
    assert!(!seen.contains("topsecret"), "{seen}");
    let (_, stderr) = job.end();
    assert!(!stderr.contains("topsecret"), "{stderr}");
}

#[test]
fn the_log_hides_what_git_says_of_a_secret() {
    let (_, stderr) =
        Job::start(&format!("echo 'fatal: {TOKEN} is bad' >&2; exit 128"), None).end();
    assert!(stderr.contains("[redacted] is bad"), "{stderr}");
}

fn fs_text(job: &Job, name: &str) -> String {
    let path = job.folder.path().join(name);
    eventually(|| fs::read(&path).ok().filter(|text| text.ends_with(b"\n")))
        .split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect::<Vec<_>>()
        .join("\n")
}
