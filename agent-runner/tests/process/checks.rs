//! The repository's own commands: its set-up before the worker, its check after it.

use api_client::contract::AgentExit;
use api_client::outcome::{CheckKind, Verdict};

use crate::scene::{Plan, Scene};
use crate::servers::Answer;

/// Passes where a file `good` is.
const CHECK: &str = "[check]\ncommand = \"test -f good || { echo it is not good; exit 3; }\"\n";
/// Makes `good` in its second turn.
const SECOND_TIME: &str = "if [ -e new ]; then touch good; else echo new > new; fi";

fn run(plan: Plan) -> (Option<i32>, Scene) {
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (code, _) = scene.job.end();
    (code, scene)
}

fn code(exit: AgentExit) -> Option<i32> {
    Some(i32::from(exit.code()))
}

#[test]
fn a_failing_check_gives_the_worker_one_more_turn_with_the_failure() {
    let plan = Plan { claude: SECOND_TIME, project: Some(CHECK), ..Plan::default() };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::Delivered));
    let outcome = scene.outcome();
    assert_eq!(outcome.turns.len(), 2);
    let codes: Vec<_> = outcome.checks.iter().map(|check| check.exit_code).collect();
    assert_eq!(codes, [Some(3), Some(0)]);
    assert_eq!(outcome.checks[0].tail, "it is not good\n");
    assert_eq!(outcome.commits.len(), 2);
    let entries = scene.log_entries();
    let prompt = entries.iter().find(|entry| entry["step"] == "worker_turn_1_prompt").unwrap();
    assert!(prompt["raw_output"].as_str().unwrap().contains("> it is not good"), "{prompt}");
    assert!(scene.steps().contains(&"check_1".to_owned()));
}

#[test]
fn work_that_fails_its_check_is_a_draft_and_no_completed_ticket() {
    let plan = Plan { project: Some(CHECK), ..Plan::default() };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::ChecksFailed));
    let outcome = scene.outcome();
    assert_eq!(outcome.verdict, Verdict::ChecksFailed);
    assert_eq!(outcome.turns.len(), 2);
    assert!(outcome.pull_request.unwrap().draft);
    let requests = scene.requests();
    let open = requests.iter().find(|request| request.what == "open").unwrap();
    assert_eq!(open.body["draft"], true);
    assert!(open.body["body"].as_str().unwrap().contains("failed with exit code 3"));
    assert!(!scene.course().contains(&"completion"), "{:?}", scene.course());
    assert_eq!(scene.steps().last().unwrap(), "checks_failed");
}

#[test]
fn without_drafts_work_that_fails_its_check_is_saved() {
    let project = "[check]\ncommand = 'false'\nturns = 0\non_failure = 'none'\n";
    let (ended, scene) = run(Plan { project: Some(project), ..Plan::default() });
    assert_eq!(ended, code(AgentExit::ChecksFailed));
    assert_eq!(scene.course(), ["context", "renewal"]);
    assert_eq!(scene.branches(), ["ticket-rescue"]);
    let outcome = scene.outcome();
    assert_eq!((outcome.verdict, outcome.turns.len()), (Verdict::ChecksFailed, 1));
    assert!(outcome.rescue.unwrap().branch.ends_with("-rescue"));
}

#[test]
fn the_set_up_comes_first_and_what_it_leaves_is_no_work() {
    let project =
        "[setup]\ncommand = 'echo made > made; echo ready'\n[check]\ncommand = 'cat made'\n";
    let plan = Plan {
        claude: "test -f made && echo new > new",
        project: Some(project),
        ..Plan::default()
    };
    let (ended, scene) = run(plan);
    assert_eq!(ended, code(AgentExit::Delivered));
    let kinds: Vec<_> = scene.outcome().checks.iter().map(|check| check.kind).collect();
    assert_eq!(kinds, [CheckKind::Setup, CheckKind::Check]);
    let files = scene.git(&["ls-tree", "--name-only", &scene.pushed().unwrap()]);
    assert_eq!(files, ".terarchitect.toml\nREADME\nnew");
    let words = r#"echo '{"type":"assistant","message":{"content":[{"type":"text","text":"It is there."}]}}'"#;
    let (ended, scene) = run(Plan { claude: words, project: Some(project), ..Plan::default() });
    assert_eq!(ended, code(AgentExit::NoChanges));
    assert_eq!(scene.outcome().verdict, Verdict::NoChanges);
    assert!(scene.outcome().summary.contains("It is there."), "{}", scene.outcome().summary);
}

#[test]
fn a_set_up_that_fails_ends_the_run_before_the_worker() {
    let project = "[setup]\ncommand = 'echo no network; exit 9'\n";
    let (ended, scene) = run(Plan { project: Some(project), ..Plan::default() });
    assert_eq!(ended, code(AgentExit::WorkerFailed));
    let outcome = scene.outcome();
    assert_eq!(outcome.turns, []);
    assert!(outcome.summary.contains("exit code 9"), "{}", outcome.summary);
    assert_eq!(outcome.checks[0].tail, "no network\n");
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_all_that_it_started() {
    let project = "[check]\ncommand = 'setsid sleep 1000 & echo $! > ../pid; wait'\n\
        timeout_sec = 1\nturns = 0\n";
    let (ended, scene) = run(Plan { project: Some(project), ..Plan::default() });
    assert_eq!(ended, code(AgentExit::ChecksFailed));
    let check = &scene.outcome().checks[0];
    assert_eq!(check.exit_code, None);
    assert!(check.millis >= 1000);
}

#[test]
fn a_command_has_no_secret_and_nothing_of_the_model() {
    let project = "[check]\ncommand = 'env; exit 1'\nturns = 0\n";
    let (_, scene) = run(Plan { project: Some(project), ..Plan::default() });
    let tail = &scene.outcome().checks[0].tail;
    assert!(tail.contains("HOME="), "{tail}");
    for name in ["ANTHROPIC", "TOKEN", "API_KEY", "TERARCHITECT_", "secret"] {
        assert!(!tail.contains(name), "{name} is in {tail}");
    }
}
