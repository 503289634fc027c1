//! What is found in the work before it is published.

use api_client::contract::AgentExit;
use api_client::outcome::{Finding, FindingKind, Verdict};

use crate::scene::{Plan, Scene};
use crate::servers::Answer;

fn run(plan: Plan) -> (Option<i32>, String, Scene) {
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (code, stderr) = scene.job.end();
    (code, stderr, scene)
}

fn code(exit: AgentExit) -> Option<i32> {
    Some(i32::from(exit.code()))
}

fn kinds(findings: &[Finding]) -> Vec<FindingKind> {
    findings.iter().map(|finding| finding.kind).collect()
}

/// Commits a key, made out of two pieces so that none is written down here, and removes it again.
const KEY_FOR_A_WHILE: &str = "key=sk_li; key=${key}ve_4kT9zQ2mXw7LpR5vNc8JhB3y; \
    printf 'first\\nkey = %s\\n' $key > config && git add config && git commit -qm one && \
    git rm -q config && echo new > new && git add new && git commit -qm two";

#[test]
fn a_key_that_was_committed_and_removed_again_is_not_published_anywhere() {
    let (ended, stderr, scene) = run(Plan { claude: KEY_FOR_A_WHILE, ..Plan::default() });
    assert_eq!(ended, code(AgentExit::Blocked), "{stderr}");
    assert_eq!(scene.branches(), ["ticket-rescue"], "the rest is saved");
    assert!(!scene.git(&["log", "-p", "--all"]).contains("4kT9zQ2mXw7LpR5vNc8JhB3y"));
    let outcome = scene.outcome();
    assert_eq!(
        scene.git(&["ls-tree", "--name-only", &outcome.rescue.clone().unwrap().commit]),
        "README\nnew"
    );
    assert_eq!(outcome.verdict, Verdict::Blocked);
    assert_eq!(kinds(&outcome.findings), [FindingKind::Secret]);
    assert_eq!(
        (outcome.findings[0].path.to_str(), outcome.findings[0].line),
        (Some("config"), Some(2))
    );
    let told = format!("{stderr}{:?}{:?}", scene.log_entries(), outcome);
    assert!(told.contains("config") && !told.contains("4kT9zQ2mXw7LpR5vNc8JhB3y"), "{told}");
}

#[test]
fn a_path_that_the_project_forbids_is_not_published() {
    let project = "[paths]\nforbidden = [\"infra/\"]\n";
    let script = "mkdir infra && echo new > infra/main.tf";
    let (ended, stderr, scene) =
        run(Plan { claude: script, project: Some(project), ..Plan::default() });
    assert_eq!(ended, code(AgentExit::Blocked), "{stderr}");
    assert_eq!(kinds(&scene.outcome().findings), [FindingKind::ForbiddenPath]);
    assert_eq!(scene.branches(), [""; 0]);
}

#[test]
fn a_skipped_test_is_pointed_out_in_the_pull_request() {
    let script = "printf 'import pytest\\n\\n@pytest.mark.skip\\ndef test_a():\\n    assert 1\\n' > test_a.py";
    let (ended, stderr, scene) = run(Plan { claude: script, ..Plan::default() });
    assert_eq!(ended, code(AgentExit::Delivered), "{stderr}");
    assert_eq!(kinds(&scene.outcome().findings), [FindingKind::TestSkipped]);
    let requests = scene.requests();
    let open = requests.iter().find(|request| request.what == "open").unwrap();
    let body = open.body["body"].as_str().unwrap();
    assert!(body.contains("- `test_a.py:3`: a test is skipped"), "{body}");
}

#[test]
fn a_key_in_the_worker_s_last_words_keeps_no_work_back() {
    let script = "key=sk_li; key=${key}ve_4kT9zQ2mXw7LpR5vNc8JhB3y; echo new > new; \
        echo '{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"As in '$key'.\"}]}}'";
    let (ended, stderr, scene) = run(Plan { claude: script, ..Plan::default() });
    assert_eq!(ended, code(AgentExit::Delivered), "{stderr}");
    let message = scene.git(&["log", "-1", "--format=%B", &scene.pushed().unwrap()]);
    assert!(message.contains("As in [redacted]."), "{message}");
}

#[test]
fn more_forbidden_files_than_are_told_of_are_all_left_out() {
    let project = "[paths]\nforbidden = [\"infra/\"]\n";
    let script = "mkdir infra; for n in $(seq 100 400); do echo x > infra/$n; done; echo new > new";
    let (ended, stderr, scene) =
        run(Plan { claude: script, project: Some(project), ..Plan::default() });
    assert_eq!(ended, code(AgentExit::Blocked), "{stderr}");
    let outcome = scene.outcome();
    assert_eq!(outcome.findings.len(), 200);
    let files = scene.git(&["ls-tree", "-r", "--name-only", &outcome.rescue.unwrap().commit]);
    assert_eq!(files, ".terarchitect.toml\nREADME\nnew");
}
