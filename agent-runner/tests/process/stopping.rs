//! SIGTERM to the first process at every phase: the end comes within 8 s, and says how far the run came.

use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};

use api_client::contract::AgentExit;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::job::{Job, eventually};
use crate::scene::{Plan, Scene};
use crate::servers::{Answer, Request};
use crate::{exists, pid, status_field, turn};

const CANCELLED: Option<i32> = Some(7);

/// A worker that TERM does not end.
const STUBBORN: &str = "trap '' TERM; echo up > $HERE/up; while :; do sleep 1; done";

/// Answers as usual, but requests of one kind not before there is a word on the channel.
fn held(
    what: &'static str,
) -> (Sender<()>, impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) {
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let answers = move |request: &Request, _: usize| {
        if request.what == what {
            // That there will be no word is a word, too: the test is over.
            let _word = released.lock().unwrap_or_else(PoisonError::into_inner).recv();
        }
        Answer::Usual
    };
    (release, answers)
}

#[test]
fn sigterm_and_sigint_cancel_the_run() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut job = Job::start("echo $$ > $HERE/started; exec sleep 1000", None);
        let git = pid(&job.file("started"));
        let blocked = status_field(git, "SigBlk");
        assert_eq!(blocked, "0000000000000000", "what it starts can be ended by signals too");
        job.signal(signal);
        let (code, stderr) = job.end_soon();
        assert_eq!(code, CANCELLED, "{stderr}");
        assert!(!exists(git));
    }
}

#[test]
fn a_run_ends_that_still_waits_for_its_job_document() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_agent-runner"));
    program.env("TERARCHITECT_JOB_DOCUMENT", "stdin").stdin(Stdio::piped()).stderr(Stdio::null());
    let mut process = program.spawn().unwrap();
    let pid = process.id().cast_signed();
    eventually(|| status_field(pid, "SigBlk").ends_with("14003").then_some(()));
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    let _open = process.stdin.take();
    assert_eq!(process.wait().unwrap().code(), CANCELLED);
}

#[test]
fn a_clone_that_ignores_the_signal_is_killed() {
    let mut job = Job::start("trap '' TERM; echo up > $HERE/up; while :; do sleep 1; done", None);
    job.file("up");
    job.signal(Signal::SIGTERM);
    let (code, log) = job.end_soon();
    assert_eq!(code, CANCELLED, "{log}");
    assert!(log.contains("cancelled before anything was published"), "{log}");
}

#[test]
fn a_worker_that_ignores_the_signal_is_killed_though_the_app_is_away_too() {
    let (_held, answers) = held("log");
    let answers = move |request: &Request, before: usize| match request.what {
        // The last entry before the worker begins is its prompt, the fourth.
        "log" if before < 4 => Answer::Usual,
        _ => answers(request, before),
    };
    let mut scene = Scene::of(Plan { claude: STUBBORN, ..Plan::default() }, answers);
    scene.job.file("up");
    scene.job.signal(Signal::SIGTERM);
    let (code, log) = scene.job.end_soon();
    assert_eq!(code, CANCELLED, "{log}");
    assert!(log.contains("cancelled before anything was published"), "{log}");
}

#[test]
fn a_log_entry_that_is_under_way_does_not_hold_a_cancelled_run() {
    let (_held, answers) = held("log");
    let mut scene = Scene::start(answers);
    eventually(|| (!scene.steps().is_empty()).then_some(()));
    scene.job.signal(Signal::SIGTERM);
    let (code, log) = scene.job.end_soon();
    assert_eq!(code, CANCELLED, "{log}");
}

#[test]
fn nothing_is_pushed_by_a_run_that_is_cancelled_while_it_renews_its_lease() {
    let (_held, answers) = held("renewal");
    let mut scene = Scene::start(answers);
    scene.asked("renewal");
    scene.job.signal(Signal::SIGTERM);
    let (code, log) = scene.job.end_soon();
    assert_eq!(code, CANCELLED, "{log}");
    assert_eq!(scene.pushed(), None);
    assert_eq!(scene.steps().last().unwrap(), "cancelled");
}

#[test]
fn a_run_that_is_cancelled_while_it_pushes_does_not_claim_that_nothing_was_published() {
    let mut job = turn::start("echo new > new", "echo up > $HERE/pushing; exec sleep 1000");
    job.file("pushing");
    job.signal(Signal::SIGTERM);
    let (code, log) = job.end_soon();
    assert_eq!(code, CANCELLED, "{log}");
    assert!(log.contains("may be on the remote"), "{log}");
}

#[test]
fn a_push_that_arrives_in_spite_of_the_signal_gets_no_pull_request() {
    let push = "trap '' TERM; echo up > $HERE/pushing; \
        while ! [ -e $HERE/go ]; do sleep 0.05; done; real \"$@\"; exit";
    let mut scene =
        Scene::of(Plan { on_git: ("push", push), ..Plan::default() }, |_, _| Answer::Usual);
    scene.job.file("pushing");
    scene.job.signal(Signal::SIGTERM);
    scene.job.logged("told to stop");
    std::fs::write(scene.job.folder.path().join("go"), "").unwrap();
    let (code, log) = scene.job.end_soon();
    assert_eq!(code, CANCELLED, "{log}");
    assert!(scene.pushed().is_some());
    assert_eq!(scene.course(), ["context", "renewal", "renewal"]);
}

#[test]
fn no_pull_request_is_opened_by_a_run_that_was_cancelled_before() {
    let (release, answers) = held("find");
    let mut scene = Scene::start(answers);
    scene.asked("find");
    scene.job.signal(Signal::SIGTERM);
    scene.job.logged("told to stop");
    release.send(()).unwrap();
    let (code, log) = scene.job.end_soon();
    assert_eq!(code, CANCELLED, "{log}");
    assert_eq!(scene.course().last(), Some(&"find"));
    assert!(log.contains("may be on the remote, without a confirmed pull request"), "{log}");
}

#[test]
fn a_pull_request_that_is_being_opened_is_delivered() {
    let (release, answers) = held("open");
    let mut scene = Scene::start(answers);
    scene.asked("open");
    scene.job.signal(Signal::SIGTERM);
    scene.job.logged("told to stop");
    release.send(()).unwrap();
    let (code, log) = scene.job.end_soon();
    assert_eq!(code, Some(i32::from(AgentExit::Delivered.code())), "{log}");
    assert_eq!(scene.course().last(), Some(&"completion"));
}

#[test]
fn an_app_that_does_not_take_the_completion_does_not_hold_a_cancelled_run() {
    let (_held, answers) = held("completion");
    let mut scene = Scene::start(answers);
    scene.asked("completion");
    scene.job.signal(Signal::SIGTERM);
    let (code, log) = scene.job.end_soon();
    assert_eq!(code, CANCELLED, "{log}");
    assert!(log.contains("Pull request 7 is open"), "{log}");
}

#[test]
fn what_is_delivered_stays_delivered_though_there_is_no_time_to_clean_up() {
    let plan = Plan {
        on_git: ("worktree remove", "echo up > $HERE/cleaning; exec sleep 1000"),
        setting: ("AGENT_WORKSPACE", "$HERE/seed"),
        ..Plan::default()
    };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    scene.job.file("cleaning");
    scene.job.signal(Signal::SIGTERM);
    let (code, log) = scene.job.end_soon();
    assert_eq!(code, Some(i32::from(AgentExit::Delivered.code())), "{log}");
}
