//! A run that is killed at any step of publishing, and the next run of the same job: one branch, one pull
//! request, the right verdict.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use api_client::outcome::Verdict;

use crate::scene::{Plan, Scene};
use crate::servers::{Answer, Request};

/// Answers as usual, but holds the first request for which `at` is true until the test is over: before it
/// is done, or after.
fn held(
    at: fn(&Request) -> bool,
    before: fn() -> Answer,
) -> (Sender<()>, impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) {
    let (release, released) = channel();
    let (released, first) = (Mutex::new(released), AtomicBool::new(true));
    let answers = move |request: &Request, _: usize| {
        if at(request) && first.swap(false, Ordering::SeqCst) {
            let _word = released.lock().unwrap_or_else(PoisonError::into_inner).recv();
            return before();
        }
        Answer::Usual
    };
    (release, answers)
}

/// Kills the run where a request is held, and runs the job again.
fn killed_at(what: &'static str, at: fn(&Request) -> bool) -> Scene {
    let (release, answers) = held(at, || Answer::Gone);
    let mut scene = Scene::start(answers);
    scene.came(at);
    scene.job.kill();
    drop(release);
    run_again(what, scene)
}

fn run_again(what: &'static str, mut scene: Scene) -> Scene {
    let (code, log) = scene.run_again();
    assert_eq!(code, Some(0), "{what}: {log}");
    assert_eq!(scene.branches(), ["ticket"], "{what}");
    assert_eq!(scene.pull_requests(), 1, "{what}");
    let outcome = scene.outcome();
    assert_eq!(outcome.verdict, Verdict::Delivered, "{what}");
    assert_eq!(outcome.pull_request.unwrap().head, scene.pushed().unwrap(), "{what}");
    let files = scene.git(&["ls-tree", "--name-only", &scene.pushed().unwrap()]);
    assert_eq!(files, "README\nnew", "{what}");
    assert_eq!(scene.course().last(), Some(&"completion"), "{what}");
    scene
}

fn step(request: &Request, name: &str) -> bool {
    request.what == "log" && request.body["step"] == name
}

#[test]
fn before_the_commit() {
    let scene = killed_at("before the commit", |request| step(request, "worker_turn_0"));
    assert_eq!(scene.course().iter().filter(|what| **what == "completion").count(), 1);
}

#[test]
fn after_the_commit() {
    killed_at("after the commit", |request| step(request, "finalize"));
    killed_at("before the push", |request| request.what == "renewal" && request.pushed.is_none());
}

#[test]
fn after_the_push() {
    let scene = killed_at("after the push", |request| {
        request.what == "renewal" && request.pushed.is_some()
    });
    let commits = scene.git(&["rev-list", "--count", &scene.pushed().unwrap()]);
    assert_eq!(commits, "2", "nothing is committed twice");
}

#[test]
fn between_the_push_and_its_answer() {
    let push = "if mkdir $HERE/once 2>/dev/null; then real \"$@\"; echo up > $HERE/pushed; \
        exec sleep 1000; fi";
    let plan = Plan { on_git: ("push", push), ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    scene.job.file("pushed");
    scene.job.kill();
    run_again("between the push and its answer", scene);
}

#[test]
fn around_the_opening_of_the_pull_request() {
    killed_at("before it is opened", |request| request.what == "open");
    let (release, answers) = held(|request| request.what == "read", || Answer::Gone);
    let mut scene = Scene::start(answers);
    scene.asked("read");
    assert_eq!(scene.pull_requests(), 1);
    scene.job.kill();
    drop(release);
    run_again("after it is opened", scene);
}

#[test]
fn between_the_opening_and_its_answer() {
    let (release, answers) = held(|request| request.what == "open", || Answer::DoneAndGone);
    let mut scene = Scene::start(answers);
    scene.asked("open");
    drop(release);
    // The run asks again; it is killed while it looks for what it has opened.
    scene.job.kill();
    run_again("between the opening and its answer", scene);
}

#[test]
fn around_the_completion() {
    killed_at("before the completion", |request| request.what == "completion");
    let scene = killed_at("after the completion", |request| step(request, "task_complete"));
    assert_eq!(scene.course().iter().filter(|what| **what == "completion").count(), 2);
}
