//! What goes wrong with the state of a run: it cannot be kept, the world has moved on meanwhile, or going on leads
//! nowhere. What is newer wins, and no work is undone.

use std::fs;

use api_client::contract::AgentExit;
use nix::sys::signal::Signal;

use crate::directed::{APPROVED, DEAR, DONE, OTHER};
use crate::resume::{DELIVERED, JOB, TWICE, killed_in_turn, tree, unkilled, worker_calls};
use crate::scene::{Plan, Scene};
use crate::servers::{Answer, TICKET};
use crate::turn;

const MERGED: &str = "[publish]\nbase_update = \"merge\"\n";

/// A run after whose turn `unwritable` nothing can be kept, and that hangs in its turn `hangs`.
fn that_cannot_keep(plan: Plan, unwritable: usize, hangs: usize) -> Scene {
    let scene = Scene::of(plan, |_, _| Answer::Usual);
    let folder = scene.job.folder.path();
    fs::write(folder.join("unwritable_at"), unwritable.to_string()).unwrap();
    fs::write(folder.join("kill_at"), hangs.to_string()).unwrap();
    scene.job.file("in_turn");
    scene
}

/// The files of the ticket's branch.
fn files(scene: &Scene) -> String {
    scene.git(&["ls-tree", "-r", "--name-only", &scene.pushed().unwrap()])
}

fn code(exit: AgentExit) -> Option<i32> {
    Some(i32::from(exit.code()))
}

#[test]
fn a_turn_that_could_not_be_kept_leaves_nothing_older_to_go_on_with() {
    let mut scene = that_cannot_keep(TWICE, 3, 4);
    scene.job.kill();
    assert!(!scene.job.folder.path().join("state/moment").exists());
    let (code, log) = scene.run_again();
    assert_eq!(code, DELIVERED, "{log}");
    assert_eq!(scene.outcome().resumed_at_turn, None);
    assert_eq!(worker_calls(&scene), 4 + 5);
    assert_eq!(tree(&scene), unkilled(JOB).0);
}

#[test]
fn the_turn_after_one_that_could_not_be_kept_is_kept_with_the_work_of_both() {
    let mut scene = that_cannot_keep(JOB, 3, 5);
    scene.job.kill();
    let (code, log) = scene.run_again();
    assert_eq!(code, DELIVERED, "{log}");
    assert_eq!(scene.outcome().resumed_at_turn, Some(5));
    assert_eq!(worker_calls(&scene), 6);
    assert_eq!(tree(&scene), unkilled(JOB).0);
}

#[test]
fn work_that_was_saved_after_a_turn_that_could_not_be_kept_is_not_undone() {
    let mut scene = that_cannot_keep(TWICE, 3, 4);
    scene.job.signal(Signal::SIGTERM);
    assert_eq!(scene.job.end().0, code(AgentExit::Cancelled));
    assert_eq!(scene.branches(), ["ticket-rescue"]);
    let (code, log) = scene.run_again();
    assert_eq!(code, DELIVERED, "{log}");
    assert_eq!(scene.outcome().resumed_at_turn, None);
    assert!(files(&scene).contains("half"), "what was saved last is in what is delivered");
}

#[test]
fn a_run_that_was_told_to_stop_goes_on_at_its_turn_with_what_was_saved_in_it() {
    let scene = &mut that_cannot_keep(JOB, 0, 4);
    scene.job.signal(Signal::SIGTERM);
    assert_eq!(scene.job.end().0, code(AgentExit::Cancelled));
    assert_eq!(scene.branches(), ["ticket-rescue"]);
    let told = scene.outcome().director.unwrap().calls;
    let (code, log) = scene.run_again();
    assert_eq!(code, DELIVERED, "{log}");
    assert_eq!(scene.outcome().resumed_at_turn, Some(4));
    assert_eq!((worker_calls(scene), scene.asked_director().len()), (6, 4));
    assert!(files(scene).contains("half"), "what is newer wins");
    let calls = scene.outcome().director.unwrap().calls;
    assert_eq!((told, calls), (2, 2), "each call is told of once");
    assert_eq!(scene.branches(), ["ticket"]);
}

#[test]
fn what_others_landed_is_not_taken_back_by_a_publication_that_is_repeated() {
    let plan = Plan { project: Some(MERGED), ..JOB };
    let mut scene = Scene::of(plan, |request, before| match (request.what, before) {
        ("open", 0) => Answer::Silence,
        _ => Answer::Usual,
    });
    let folder = scene.job.folder.path().to_owned();
    fs::write(folder.join("kill_at"), "5").unwrap();
    scene.job.file("in_turn");
    scene.job.kill();
    turn::commit(&folder, "OTHERS", "of somebody else\n");
    scene.start_again();
    scene.asked("open");
    scene.job.kill();
    assert!(files(&scene).contains("OTHERS"), "the base is merged into what is published");
    let (code, log) = scene.run_again();
    assert_eq!(code, DELIVERED, "{log}");
    assert_eq!((worker_calls(&scene), scene.asked_director().len()), (6, 4));
    assert!(files(&scene).contains("OTHERS") && files(&scene).contains("new"));
    assert_eq!((scene.pull_requests(), scene.branches()), (1, vec!["ticket".to_owned()]));
}

#[test]
fn what_was_merged_meanwhile_is_not_done_again() {
    let mut scene = killed_in_turn(TWICE, 4);
    let script = format!("git commit -q --allow-empty -m 'Merge ticket-{TICKET}' && git push -q");
    turn::in_seed(scene.job.folder.path(), &script);
    let (code, log) = scene.run_again();
    assert_eq!(code, DELIVERED, "{log}");
    assert!(log.contains("is not gone on with: the ticket was merged since"), "{log}");
    assert_eq!(scene.outcome().resumed_at_turn, None);
}

#[test]
fn a_default_branch_that_was_rewritten_is_where_the_work_begins_anew() {
    let mut scene = killed_in_turn(TWICE, 4);
    let script = "git commit -q --amend -m other && git push -q --force";
    turn::in_seed(scene.job.folder.path(), script);
    let (code, log) = scene.run_again();
    assert_eq!(code, DELIVERED, "{log}");
    assert!(log.contains("the default branch was rewritten"), "{log}");
    assert_eq!(scene.outcome().resumed_at_turn, None);
}

#[test]
fn the_rules_of_today_hold_for_work_of_yesterday() {
    let mut scene = killed_in_turn(JOB, 5);
    turn::commit(scene.job.folder.path(), ".terarchitect.toml", "[paths]\nforbidden = [\"new\"]\n");
    let (ended, log) = scene.run_again();
    assert_eq!(ended, code(AgentExit::Blocked), "{log}");
    assert_eq!(scene.outcome().resumed_at_turn, Some(5));
}

#[test]
fn a_budget_is_one_job_s_and_the_next_job_goes_on_with_its_own() {
    let plan = Plan {
        director: &[APPROVED, DEAR, OTHER, DONE],
        setting: ("WORKER_TOKEN_BUDGET", "100000"),
        ..JOB
    };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::BudgetExhausted), "{log}");
    let (worked, asked) = (worker_calls(&scene), scene.asked_director().len());
    let (ended, log) = scene.run_again();
    assert_eq!(ended, code(AgentExit::BudgetExhausted), "the same job has no more: {log}");
    assert_eq!(scene.asked_director().len(), asked, "nobody is paid");
    let director = scene.outcome().director.unwrap();
    assert_eq!((director.calls, director.tokens.input), (0, 0), "what was told is told once");
    let (ended, log) = scene.run_another();
    assert_eq!(ended, DELIVERED, "{log}");
    assert!(scene.outcome().resumed_at_turn.is_some());
    assert!(worker_calls(&scene) > worked);
    let director = scene.outcome().director.unwrap();
    assert!(director.tokens.input < 1_000, "another job has an account of its own: {director:?}");
}

#[test]
fn tries_that_come_no_further_lose_the_session_and_then_begin_anew() {
    let mut scene = killed_in_turn(TWICE, 4);
    let folder = scene.job.folder.path().to_owned();
    let set_up = |command: &str| {
        let text = format!("[setup]\ncommand = \"{command}\"\n");
        turn::commit(&folder, ".terarchitect.toml", &text);
    };
    set_up("false");
    for attempt in 1..=4 {
        let (ended, log) = scene.run_again();
        assert_eq!(ended, code(AgentExit::WorkerFailed), "{log}");
        assert_eq!(scene.outcome().resumed_at_turn, Some(4), "try {attempt}");
        let left_out = log.contains("the coding CLI's session is left out");
        assert_eq!(left_out, attempt == 4, "try {attempt}: {log}");
    }
    set_up("true");
    let (ended, log) = scene.run_again();
    assert_eq!(ended, DELIVERED, "{log}");
    assert!(log.contains("is not gone on with: 4 tries came no further"), "{log}");
    assert_eq!(scene.outcome().resumed_at_turn, None);
    assert_eq!(worker_calls(&scene), 4 + 5);
}

#[test]
fn an_outage_is_no_try_that_came_no_further() {
    let mut scene = Scene::of(JOB, |request, before| match (request.what, before) {
        ("open", 0) => Answer::Silence,
        // What the app thinks of it is all that is missing.
        ("completion", before) if before < 6 => Answer::Refusal(400),
        _ => Answer::Usual,
    });
    scene.asked("open");
    scene.job.kill();
    for attempt in 1..=6 {
        let (ended, log) = scene.run_again();
        assert_eq!(ended, code(AgentExit::AppUnreachable), "try {attempt}: {log}");
        assert_eq!(scene.outcome().state_kept, Some(true), "try {attempt}");
    }
    let (ended, log) = scene.run_again();
    assert_eq!(ended, DELIVERED, "{log}");
    assert_eq!((worker_calls(&scene), scene.asked_director().len()), (5, 4));
    assert_eq!(scene.outcome().state_kept, Some(false));
}

/// A push that the remote's host does not let through, as long as `closed` is there.
const CLOSED: (&str, &str) =
    ("push", "[ -e $HERE/closed ] && { echo 'fatal: Authentication failed' >&2; exit 128; }");

#[test]
fn work_that_is_at_its_end_is_there_for_the_next_run_until_it_is_saved() {
    let plan = Plan {
        claude: "echo \"$*\" >> $HERE/arguments; echo line > new; echo line > other",
        director: &[],
        on_git: CLOSED,
        project: Some("[paths]\nforbidden = [\"new\"]\n"),
        ..JOB
    };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let closed = scene.job.folder.path().join("closed");
    fs::write(&closed, "").unwrap();
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::Blocked), "{log}");
    assert!(log.contains("unfinished work could not be saved"), "{log}");
    assert_eq!(scene.outcome().state_kept, Some(true));
    fs::remove_file(&closed).unwrap();
    let (ended, log) = scene.run_again();
    assert_eq!(ended, code(AgentExit::Blocked), "{log}");
    assert_eq!(worker_calls(&scene), 1);
    assert_eq!(scene.branches(), ["ticket-rescue"]);
    assert_eq!(scene.outcome().state_kept, Some(false));
}

#[test]
fn work_that_the_remote_refuses_is_not_there_to_be_refused_again() {
    let mut scene = Scene::of(JOB, |_, _| Answer::Usual);
    let refuse = "mkdir -p ../origin/hooks && cd ../origin/hooks && \
                  printf '#!/bin/sh\\nexit 1\\n' >pre-receive && chmod +x pre-receive";
    turn::in_seed(scene.job.folder.path(), refuse);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, code(AgentExit::PublishFailed), "{log}");
    assert!(log.contains("unfinished work is not saved, now or later"), "{log}");
    assert_eq!(scene.outcome().state_kept, Some(false));
}

/// Writes a line, leaves half of something in its second turn, and finds nothing to do in any other.
const HALF: &str = r#"
echo "$*" >> $HERE/arguments
echo '{"type":"system","subtype":"init","session_id":"s1"}'
case $(wc -l < $HERE/arguments) in
1) echo line > new ;;
2) echo half > half; echo up > $HERE/in_turn; exec sleep 1000 ;;
esac
true"#;

/// Fails until the second turn.
const WANTS_HALF: &str = "[check]\ncommand = \"[ -e half ]\"\n";

#[test]
fn half_of_the_work_is_not_delivered_because_the_next_turn_changes_nothing() {
    let plan = Plan { claude: HALF, director: &[], project: Some(WANTS_HALF), ..JOB };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    scene.job.file("in_turn");
    scene.job.signal(Signal::SIGTERM);
    assert_eq!(scene.job.end().0, code(AgentExit::Cancelled));
    let (ended, log) = scene.run_again();
    assert_eq!(scene.outcome().resumed_at_turn, Some(2), "{log}");
    assert_eq!(ended, code(AgentExit::NoChanges), "{log}");
    assert_eq!((scene.pull_requests(), scene.branches()), (0, vec!["ticket-rescue".to_owned()]));
}

#[test]
fn a_part_of_the_work_that_was_saved_is_not_taken_for_all_of_it() {
    let plan = Plan { project: Some("[paths]\nforbidden = [\"half\"]\n"), ..TWICE };
    let mut scene = that_cannot_keep(plan, 0, 4);
    scene.job.signal(Signal::SIGTERM);
    assert_eq!(scene.job.end().0, code(AgentExit::Cancelled));
    assert_eq!(scene.branches(), ["ticket-rescue"]);
    let (ended, log) = scene.run_again();
    assert_eq!(ended, DELIVERED, "{log}");
    assert_eq!(scene.outcome().resumed_at_turn, None, "it began with the part");
    assert!(worker_calls(&scene) > 6);
}
