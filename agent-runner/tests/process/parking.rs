//! A provider's limit: a pause where somebody has the job go on later, else a wait.

use std::time::{Duration, Instant};

use api_client::UtcTime;
use api_client::contract::AgentExit;
use api_client::outcome::Verdict;
use nix::sys::signal::Signal;

use crate::scene::{Plan, Scene};
use crate::servers::Answer;

/// Does half of its work, and comes to a limit for two hours.
const LIMITED: &str = r#"echo half > new
echo '{"type":"result","is_error":true,"api_error_status":429,"result":"Usage limit. Try again in 2 hours."}'
exit 1"#;

/// Comes to a limit for a second, and works after that.
const LIMITED_AT_FIRST: &str = r#"if [ ! -e $HERE/limited ]; then touch $HERE/limited
echo '{"type":"result","is_error":true,"api_error_status":429,"result":"Try again in 1 second."}'
exit 1; fi
echo new > new"#;

/// Comes to a limit for ten minutes.
const LIMITED_FOR_MINUTES: &str = r#"echo half > new
echo '{"type":"result","is_error":true,"api_error_status":429,"result":"Try again in 10 minutes."}'
exit 1"#;

/// Comes to a limit, and nobody says for how long.
const LIMITED_WITHOUT_END: &str = r#"echo half > new
echo '{"type":"result","is_error":true,"api_error_status":429,"result":"Too many requests."}'
exit 1"#;

const NO_CLAIM: (&str, &str) = ("CLAIM_ID", "");

fn code(exit: AgentExit) -> Option<i32> {
    Some(i32::from(exit.code()))
}

#[test]
fn a_job_that_is_held_for_a_term_is_parked_with_its_work_and_the_time() {
    let plan = Plan { claude: LIMITED, ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Parked), "{log}");
    let outcome = scene.outcome();
    assert_eq!((outcome.verdict, outcome.cause), (Verdict::Parked, AgentExit::Parked));
    let parked = outcome.parked.unwrap();
    let ahead = parked.until.seconds() - UtcTime::after(Duration::ZERO).seconds();
    assert!((7_100..=7_201).contains(&ahead), "{ahead} s");
    assert!(parked.what.contains("Usage limit"), "{}", parked.what);
    assert!(outcome.summary.contains(&parked.until.to_string()), "{}", outcome.summary);
    assert_eq!(scene.branches(), ["ticket-rescue"]);
    assert_eq!(scene.steps().last().unwrap(), "parked");
    assert!(!scene.course().contains(&"completion"));
    // The next run goes on with what this one had.
    let (_, log) = scene.run_again();
    assert!(log.contains("continues what an earlier run could not finish"), "{log}");
}

#[test]
fn a_limit_of_a_moment_is_waited_for_with_a_claim_and_without() {
    for setting in [Plan::default().setting, NO_CLAIM] {
        let plan = Plan { claude: LIMITED_AT_FIRST, setting, ..Plan::default() };
        let mut scene = Scene::of(plan, |_, _| Answer::Usual);
        let (ended, log) = scene.job.end();
        assert_eq!(ended, code(AgentExit::Delivered), "{log}");
        let steps = scene.steps();
        let turns = steps.iter().filter(|step| *step == "worker_turn_0_prompt").count();
        assert!(steps.contains(&"waiting".to_owned()) && turns == 2, "{steps:?}");
        let outcome = scene.outcome();
        assert_eq!(outcome.parked, None);
        let endings: Vec<_> = outcome.turns.iter().map(|turn| turn.ending.as_str()).collect();
        assert_eq!(endings, ["rate_limited", "finished"]);
    }
}

#[test]
fn a_limit_that_holds_for_longer_than_the_run_waits_ends_it_with_the_time() {
    let plan = Plan { claude: LIMITED, setting: NO_CLAIM, ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Parked), "{log}");
    let outcome = scene.outcome();
    let until = outcome.parked.unwrap().until.to_string();
    assert!(outcome.summary.contains(&format!("it can go on at {until}")), "{}", outcome.summary);
    assert_eq!(scene.branches(), ["ticket-rescue"]);
}

#[test]
fn a_limit_without_an_end_is_a_failure() {
    let plan = Plan { claude: LIMITED_WITHOUT_END, ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::WorkerFailed), "{log}");
    assert_eq!(scene.outcome().parked, None);
}

#[test]
fn a_run_that_waits_can_be_cancelled_and_keeps_its_work() {
    let plan = Plan { claude: LIMITED_FOR_MINUTES, setting: NO_CLAIM, ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    scene.came(|request| request.what == "log" && request.body["step"] == "waiting");
    let asked = Instant::now();
    scene.job.signal(Signal::SIGTERM);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Cancelled), "{log}");
    assert!(asked.elapsed() < Duration::from_secs(8));
    assert_eq!(scene.branches(), ["ticket-rescue"]);
}
