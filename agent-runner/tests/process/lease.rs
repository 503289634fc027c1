//! A job that the app may have given to someone else meanwhile.

use api_client::contract::AgentExit;

use crate::scene::{CLAIM, Plan, Scene};
use crate::servers::Answer;

/// Refuses the renewals from this one on, counted from 0, with this status.
fn refusing(from: usize, status: u16) -> Scene {
    Scene::start(move |request, before| match request.what {
        "renewal" if before >= from => Answer::Refusal(status),
        _ => Answer::Usual,
    })
}

fn code(exit: AgentExit) -> Option<i32> {
    Some(i32::from(exit.code()))
}

#[test]
fn the_lease_is_renewed_before_the_push_the_pull_request_and_the_completion() {
    let mut scene = Scene::start(|_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Delivered), "{log}");
    let expected =
        ["context", "renewal", "renewal", "find", "open", "read", "renewal", "completion"];
    assert_eq!(scene.course(), expected);
    let requests = scene.requests();
    let renewals: Vec<_> = requests.iter().filter(|request| request.what == "renewal").collect();
    assert!(renewals.iter().all(|renewal| renewal.body["claim_id"] == CLAIM), "{renewals:?}");
    assert_eq!(renewals[0].pushed, None);
    assert!(renewals[1].pushed.is_some());
}

#[test]
fn a_run_without_a_claim_renews_nothing() {
    let plan = Plan { setting: ("CLAIM_ID", ""), ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Delivered), "{log}");
    assert_eq!(scene.course(), ["context", "find", "open", "read", "completion"]);
}

#[test]
fn a_job_that_is_another_s_or_unknown_is_not_pushed() {
    for status in [409, 404] {
        let mut scene = refusing(0, status);
        let (ended, log) = scene.job.end();
        assert_eq!(ended, code(AgentExit::Superseded), "{log}");
        assert_eq!(scene.course(), ["context", "renewal"]);
        assert_eq!(scene.steps().last().unwrap(), "superseded");
        assert_eq!(scene.pushed(), None);
        assert!(log.contains("nothing was published"), "{log}");
    }
}

#[test]
fn a_job_that_is_another_s_after_the_push_gets_no_pull_request() {
    let mut scene = refusing(1, 409);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Superseded), "{log}");
    assert_eq!(scene.course(), ["context", "renewal", "renewal"]);
    assert!(log.contains("is pushed, no pull request was opened"), "{log}");
}

#[test]
fn a_ticket_of_a_job_that_is_another_s_is_not_completed() {
    let mut scene = refusing(2, 409);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Superseded), "{log}");
    assert_eq!(scene.course().last(), Some(&"renewal"));
    assert!(log.contains("pull/7 is open, the ticket was not completed"), "{log}");
}

#[test]
fn a_moment_in_which_the_app_does_not_answer_is_waited_for() {
    let mut scene = Scene::start(|request, before| match (request.what, before) {
        ("renewal", 0) => Answer::Refusal(503),
        _ => Answer::Usual,
    });
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Delivered), "{log}");
}

#[test]
fn without_the_app_s_word_that_the_job_is_ours_nothing_is_pushed() {
    let mut scene = refusing(0, 401);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::AppUnreachable), "{log}");
    assert_eq!(scene.course(), ["context", "renewal"]);
    assert_eq!(scene.steps().last().unwrap(), "app_unreachable");
    assert!(log.contains("nothing was published"), "{log}");
}
