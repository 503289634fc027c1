//! A forge that refuses, fails or loses its answers, at each call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api_client::contract::AgentExit;
use api_client::outcome::Verdict;

use crate::scene::Scene;
use crate::servers::Answer;

/// Refusals that no second try can change.
const FINAL: [u16; 5] = [401, 403, 404, 409, 422];
/// What a second try may not meet again.
const PASSING: [u16; 3] = [429, 500, 503];

/// A forge that answers a call so from the first time on; then, without a fault, the job once more.
fn refused(what: &'static str) {
    for status in FINAL {
        let fault = Arc::new(AtomicBool::new(true));
        let on = Arc::clone(&fault);
        let mut scene = Scene::start(move |request, _| {
            match request.what == what && on.load(Ordering::SeqCst) {
                true => Answer::Refusal(status),
                false => Answer::Usual,
            }
        });
        let (code, log) = scene.job.end();
        assert_eq!(code, Some(i32::from(AgentExit::PublishFailed.code())), "{status}: {log}");
        let outcome = scene.outcome();
        assert_eq!(outcome.verdict, Verdict::Partial, "{status}");
        assert_eq!(outcome.rescue.unwrap().commit, scene.pushed().unwrap(), "{status}");
        assert!(!scene.course().contains(&"completion"), "{status}: {:?}", scene.course());
        fault.store(false, Ordering::SeqCst);
        let (code, log) = scene.run_again();
        delivered(&scene, code, &format!("{what} {status}: {log}"));
    }
}

/// A forge that fails once, before it does what was asked.
fn failing_once(what: &'static str) {
    let faults = PASSING.map(|status| Box::new(move || Answer::Refusal(status)) as Box<Make>);
    let lost: Box<Make> = Box::new(|| Answer::Gone);
    each_once(what, faults.into_iter().chain([lost]));
}

fn each_once(what: &'static str, faults: impl Iterator<Item = Box<Make>>) {
    for fault in faults {
        let mut scene =
            Scene::start(move |request, before| match request.what == what && before == 0 {
                true => fault(),
                false => Answer::Usual,
            });
        let (code, log) = scene.job.end();
        delivered(&scene, code, &format!("{what}: {log}"));
    }
}

type Make = dyn Fn() -> Answer + Send + Sync;

fn delivered(scene: &Scene, code: Option<i32>, context: &str) {
    assert_eq!(code, Some(0), "{context}");
    assert_eq!(scene.outcome().verdict, Verdict::Delivered, "{context}");
    assert_eq!(scene.branches(), ["ticket"], "{context}");
    assert_eq!(scene.pull_requests(), 1, "{context}");
    assert_eq!(scene.course().last(), Some(&"completion"), "{context}");
}

#[test]
fn looking_for_the_pull_request_is_refused() {
    refused("find");
}

#[test]
fn opening_the_pull_request_is_refused() {
    refused("open");
}

#[test]
fn reading_the_pull_request_back_is_refused() {
    refused("read");
}

#[test]
fn looking_for_the_pull_request_fails_once() {
    failing_once("find");
}

#[test]
fn opening_the_pull_request_fails_once() {
    failing_once("open");
}

#[test]
fn opening_the_pull_request_is_done_and_the_answer_is_an_error_or_lost() {
    let faults = PASSING.map(|status| Box::new(move || Answer::Done(status)) as Box<Make>);
    let lost: Box<Make> = Box::new(|| Answer::DoneAndGone);
    each_once("open", faults.into_iter().chain([lost]));
}

#[test]
fn reading_the_pull_request_back_fails_once() {
    failing_once("read");
}
