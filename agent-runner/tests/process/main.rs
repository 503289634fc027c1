//! The program as a process: its first line, its exit code, its signals, and what it leaves behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod app_settings;
mod checks;
mod directed;
mod doctor;
mod empty_turn;
mod faults;
mod hooks;
mod http;
mod inspection;
mod job;
mod killed;
mod lease;
mod lfs;
mod memory;
mod outcome;
mod parking;
mod publishing;
mod refreshing;
mod rescue;
mod resume;
mod resume_faults;
mod review;
mod scene;
mod servers;
mod stopping;
mod turn;
mod worker_user;

use std::fs;
use std::path::Path;
use std::process::Command;

use api_client::contract::{AgentExit, STARTED_LINE};
use nix::sys::signal::Signal;

use crate::job::{JOB, Job, TOKEN, eventually};

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
fn a_review_without_a_pull_request_is_a_wrong_setting() {
    let document = r#"{"JOB_KIND":"review","TASK":"x"}"#;
    let (code, stderr) = Job::start("exit 1", Some(document)).end();
    assert_eq!(code, Some(i32::from(AgentExit::Misconfigured.code())));
    assert!(stderr.contains("PR_NUMBER is not set"), "{stderr}");
}

#[test]
fn a_repository_that_cannot_be_had_has_its_exit_code() {
    let (code, stderr) = Job::start("echo 'fatal: no' >&2; exit 128", None).end();
    assert_eq!(code, Some(i32::from(AgentExit::CloneFailed.code())), "{stderr}");
}

#[test]
fn it_waits_for_its_children_though_it_was_started_with_sigchld_ignored() {
    let mut program = Command::new("env");
    program.args(["--ignore-signal=CHLD", env!("CARGO_BIN_EXE_agent-runner")]);
    let folder = tempfile::tempdir().unwrap();
    let mut job = Job::start_by(program, folder, "echo 'fatal: no' >&2; exit 128", None);
    let (code, stderr) = job.end();
    assert_eq!(code, Some(i32::from(AgentExit::CloneFailed.code())), "{stderr}");
}

#[test]
fn an_orphan_is_reaped_while_the_job_runs() {
    let orphan = "sh -c 'sh -c \"echo \\$\\$ > $0/orphan; exec sleep 0.2\" &' $HERE";
    let mut job = Job::start(&format!("{orphan}\necho up > $HERE/started; exec sleep 1000"), None);
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
    let mut job =
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
    let mut job = Job::start(script, None);
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
