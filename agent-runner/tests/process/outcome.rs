//! The outcome of a run: one document, written at every end.

use std::fs;

use api_client::contract::AgentExit;
use api_client::outcome::{OutcomeDocument, Verdict};
use nix::sys::signal::Signal;

use crate::job::{JOB, Job, TOKEN};
use crate::scene::{Plan, Scene};
use crate::servers::{Answer, TICKET};

fn outcome(job: &Job) -> OutcomeDocument {
    let text = fs::read_to_string(job.folder.path().join("outcome.json")).unwrap();
    assert!(!text.contains(TOKEN), "{text}");
    serde_json::from_str(&text).unwrap()
}

fn phases(outcome: &OutcomeDocument) -> Vec<&str> {
    outcome.phases.iter().map(|phase| phase.name.as_str()).collect()
}

#[test]
fn a_delivered_run_names_all_that_others_can_see() {
    let mut scene = Scene::of(Plan::default(), |_, _| Answer::Usual);
    let (code, log) = scene.job.end();
    assert_eq!(code, Some(0), "{log}");
    let outcome = scene.outcome();
    assert_eq!(outcome.verdict, Verdict::Delivered);
    assert_eq!(outcome.cause, AgentExit::Delivered);
    assert_eq!((outcome.job.as_deref(), outcome.ticket.as_deref()), (Some(JOB), Some(TICKET)));
    let head = scene.pushed().unwrap();
    assert_eq!(outcome.commits.first().unwrap().id, head);
    assert_eq!(outcome.diff.unwrap().files, 1);
    let request = outcome.pull_request.as_ref().unwrap();
    assert_eq!((request.number, request.head.as_str()), (7, head.as_str()));
    assert_eq!(outcome.rescue, None);
    assert_eq!(outcome.turns.iter().map(|turn| &turn.ending).collect::<Vec<_>>(), ["finished"]);
    assert_eq!(outcome.worker.as_ref().unwrap().cli, "claude-code");
    for phase in ["prepare", "clone", "worker", "commit", "push", "pull_request", "complete"] {
        assert!(phases(&outcome).contains(&phase), "{phase} is not in {outcome:?}");
    }
    // The ticket's log has the same, at its last step.
    let entries = scene.log_entries();
    let last = entries.last().unwrap();
    assert_eq!(last["step"], "task_complete");
    let logged: OutcomeDocument =
        serde_json::from_str(last["raw_output"].as_str().unwrap()).unwrap();
    assert_eq!(logged, outcome);
}

#[test]
fn what_is_published_says_by_whom_and_for_what_it_was_made() {
    let mut scene = Scene::start(|_, _| Answer::Usual);
    let (code, log) = scene.job.end();
    assert_eq!(code, Some(0), "{log}");
    let commit = scene.git(&["log", "-1", "--format=%(trailers)", &scene.pushed().unwrap()]);
    assert!(commit.contains(&format!("Ticket: {TICKET}\nAgent-Run: {JOB}\nWorker: claude-code")));
    let requests = scene.requests();
    let open = requests.iter().find(|request| request.what == "open").unwrap();
    let body = open.body["body"].as_str().unwrap();
    assert!(body.contains("## The run\n\n- Worker: claude-code\n- 1 turn; tokens: "), "{body}");
}

#[test]
fn a_run_that_fails_says_why_and_how_far_it_came() {
    let mut scene = Scene::of(Plan::default(), |request, _| match request.what {
        "open" => Answer::Refusal(403),
        _ => Answer::Usual,
    });
    let (code, log) = scene.job.end();
    assert_eq!(code, Some(i32::from(AgentExit::PublishFailed.code())), "{log}");
    let outcome = scene.outcome();
    assert_eq!(outcome.cause, AgentExit::PublishFailed);
    assert_eq!(outcome.pull_request, None);
    // The branch is pushed, so nothing is lost.
    assert_eq!(outcome.verdict, Verdict::Partial);
    assert_eq!(outcome.rescue.unwrap().commit, scene.pushed().unwrap());
}

#[test]
fn a_cancelled_run_writes_its_outcome_too() {
    let plan = Plan { claude: "echo up > $HERE/up; exec sleep 1000", ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    scene.job.file("up");
    scene.job.signal(Signal::SIGTERM);
    scene.job.end_soon();
    let outcome = scene.outcome();
    assert_eq!((outcome.cause, outcome.verdict), (AgentExit::Cancelled, Verdict::Failed));
    assert_eq!(phases(&outcome)[..3], ["prepare", "clone", "worker"]);
}

#[test]
fn a_run_without_usable_settings_writes_its_outcome_too() {
    for document in [r#"{"AGENT_OUTCOME_FILE":"$HERE/outcome.json"}"#, "no JSON"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("outcome.json");
        let mut program = std::process::Command::new("env");
        if document == "no JSON" {
            program.arg(format!("AGENT_OUTCOME_FILE={}", file.display()));
        }
        program.arg(env!("CARGO_BIN_EXE_agent-runner"));
        let here = folder.path().to_str().unwrap().to_owned();
        let document = document.replace("$HERE", &here);
        let mut job = Job::start_by(program, folder, "exit 1", Some(&document));
        job.end();
        let outcome = outcome(&job);
        assert_eq!(outcome.cause, AgentExit::Misconfigured, "{document}");
        assert!(!outcome.summary.is_empty());
    }
}
