//! A run that is killed, and the next run of the ticket with what it left: it goes on where the first one was,
//! and asks no model again but for the answer that was under way.

use std::fs;

use api_client::contract::AgentExit;
use api_client::outcome::OutcomeDocument;

use crate::directed::{APPROVED, DONE, MORE, OTHER, PROSE};
use crate::job::eventually;
use crate::scene::{Plan, Scene, State};
use crate::servers::{Answer, Request};
use crate::turn;

/// Does what its prompt asks for, in a session that it keeps as Claude Code does: a plan, or one more line in
/// `new`. At the turn that `kill_at` names it leaves something half done and goes on for ever; that turn is there
/// once. After the turn that `unwritable_at` names nothing can be kept until the next one begins.
pub(crate) const WORKER: &str = r#"
echo "$*" >> $HERE/arguments
number=$(wc -l < $HERE/arguments)
mkdir -p $CLAUDE_CONFIG_DIR/projects/here
echo "turn $number" >> $CLAUDE_CONFIG_DIR/projects/here/s1.jsonl
cp $CLAUDE_CONFIG_DIR/projects/here/s1.jsonl $HERE/session
echo '{"type":"system","subtype":"init","session_id":"s1"}'
echo '{"type":"assistant","message":{"content":[{"type":"text","text":"I did some of it."}]}}'
rmdir $HERE/state/moment.new 2>/dev/null
[ "$number" = "$(cat $HERE/unwritable_at 2>/dev/null)" ] && mkdir $HERE/state/moment.new
if [ "$number" = "$(cat $HERE/kill_at 2>/dev/null)" ]; then
  echo half >> new; echo half > half; rm -f README; git add -A; git -c user.name=W -c user.email=w@x commit -q -m half
  echo up > $HERE/in_turn; exec sleep 1000
fi
plan=$(sed -n 's/.*`\(plan\/.*_task_plan.md\)`.*/\1/p' $HERE/prompt | head -n 1)
if grep -q 'change nothing yet' $HERE/prompt; then :
elif grep -q 'Now do the work\|NEXT\|is not good' $HERE/prompt; then
  echo "line $(wc -l < new 2>/dev/null)" >> new; [ "$(wc -l < new)" = 2 ] && git rm -q --cached README
elif [ -n "$plan" ]; then mkdir -p plan; echo "1. Write new" >> "$plan"
else echo line >> new
fi; true"#;

/// A job of five turns of the worker and four answers of the Director.
pub(crate) const JOB: Plan = Plan {
    claude: WORKER,
    director: &[APPROVED, MORE, OTHER, DONE],
    state: State::Kept,
    on_git: turn::NOTHING,
    setting: ("AGENT_MAX_TURNS", "9"),
    project: None,
    title: "Add it",
    before: "",
};

pub(crate) const DELIVERED: Option<i32> = Some(0);

/// How often the worker was started.
pub(crate) fn worker_calls(scene: &Scene) -> usize {
    let path = scene.job.folder.path().join("arguments");
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// The files that were published, with their content.
pub(crate) fn tree(scene: &Scene) -> String {
    scene.git(&["ls-tree", "-r", &scene.pushed().unwrap()])
}

/// A run that is killed in this turn of the worker, the first being 1.
pub(crate) fn killed_in_turn(plan: Plan, turn: usize) -> Scene {
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    fs::write(scene.job.folder.path().join("kill_at"), turn.to_string()).unwrap();
    scene.job.file("in_turn");
    scene.job.kill();
    scene
}

pub(crate) fn unkilled(plan: Plan) -> (String, OutcomeDocument) {
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (code, log) = scene.job.end();
    assert_eq!(code, DELIVERED, "{log}");
    (tree(&scene), scene.outcome())
}

#[test]
fn a_run_that_is_killed_in_any_turn_goes_on_at_that_turn() {
    let (expected, whole) = unkilled(JOB);
    assert_eq!(whole.turns.len(), 5);
    for turn in 1..=5 {
        let mut scene = killed_in_turn(JOB, turn);
        let (code, log) = scene.run_again();
        assert_eq!(code, DELIVERED, "turn {turn}: {log}");
        assert_eq!(
            worker_calls(&scene),
            6,
            "turn {turn}: the one under way is repeated, and no other"
        );
        assert_eq!(scene.asked_director().len(), 4, "turn {turn}: nothing is asked again");
        assert_eq!(tree(&scene), expected, "turn {turn}");
        let outcome = scene.outcome();
        let goes_on = u32::try_from(turn).ok().filter(|turn| *turn > 1);
        assert_eq!(outcome.resumed_at_turn, goes_on, "turn {turn}");
        assert_eq!(outcome.turns.len(), 5, "turn {turn}");
        let (told, expected) = (outcome.director.unwrap(), whole.director.clone().unwrap());
        assert_eq!(told, expected, "turn {turn}: what was spent is spent once");
        if turn > 1 {
            assert!(scene.steps().contains(&"resumed".to_owned()), "turn {turn}");
            session_went_on(&scene, turn);
        }
    }
}

/// The coding CLI's session has what it had before the turn that was under way, and goes on with that.
fn session_went_on(scene: &Scene, turn: usize) {
    let folder = scene.job.folder.path();
    let arguments = fs::read_to_string(folder.join("arguments")).unwrap();
    let again = arguments.lines().nth(turn).unwrap();
    assert!(again.contains("--resume s1"), "turn {turn}: {again}");
    let session = fs::read_to_string(folder.join("session")).unwrap();
    let turns: Vec<usize> = (1..=6).filter(|one| *one != turn).collect();
    let expected: String = turns.iter().map(|one| format!("turn {one}\n")).collect();
    assert_eq!(session, expected, "turn {turn}");
}

#[test]
fn a_run_that_is_killed_while_the_director_is_asked_asks_that_again_and_nothing_else() {
    let (expected, _) = unkilled(JOB);
    for question in 0..4 {
        let silent = move |request: &Request, before: usize| match request.what {
            "director" if before == question => Answer::Silence,
            _ => Answer::Usual,
        };
        let mut scene = Scene::of(JOB, silent);
        eventually(|| (scene.asked_director().len() == question + 1).then_some(()));
        let spent = scene.job.folder.path().join("state/account.json");
        let calls = format!("\"director_calls\":{}", question + 1);
        eventually(|| fs::read_to_string(&spent).ok().filter(|text| text.contains(&calls)));
        scene.job.kill();
        let (code, log) = scene.run_again();
        assert_eq!(code, DELIVERED, "question {question}: {log}");
        assert_eq!(worker_calls(&scene), 5, "question {question}");
        let asked = scene.asked_director();
        assert_eq!(asked.len(), 5, "question {question}");
        assert_eq!(asked[question]["messages"], asked[question + 1]["messages"]);
        assert_eq!(tree(&scene), expected, "question {question}");
        let calls = scene.outcome().director.unwrap().calls;
        assert_eq!(calls, 5, "question {question}: the one that got no answer is paid as well");
    }
}

#[test]
fn what_was_delivered_leaves_nothing_to_go_on_with() {
    let mut scene = Scene::of(JOB, |_, _| Answer::Usual);
    assert_eq!(scene.job.end().0, DELIVERED);
    let left = fs::read_dir(scene.job.folder.path().join("state")).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["lock"]);
}

/// The same where the next run begins anew: it asks again what the first one asked before its fourth turn.
pub(crate) const TWICE: Plan =
    Plan { director: &[APPROVED, MORE, APPROVED, MORE, OTHER, DONE], ..JOB };

#[test]
fn an_edited_ticket_begins_anew() {
    let mut scene = killed_in_turn(TWICE, 4);
    scene.retitle("Add something else");
    let (code, log) = scene.run_again();
    assert_eq!(code, DELIVERED, "{log}");
    assert!(
        log.contains("is not gone on with: the ticket, or how it is worked on, was changed"),
        "{log}"
    );
    assert_eq!(scene.outcome().resumed_at_turn, None);
    assert_eq!(worker_calls(&scene), 4 + 5);
}

#[test]
fn what_cannot_be_read_is_removed_and_the_work_begins_anew() {
    let (expected, _) = unkilled(JOB);
    for (name, spoil) in [
        ("no file of ours", (|_| b"no archive".to_vec()) as fn(Vec<u8>) -> Vec<u8>),
        ("cut off", |mut bytes| {
            bytes.truncate(bytes.len() / 2);
            bytes
        }),
        ("of another version", |bytes| replaced(&bytes, "{\"version\":1,", "{\"version\":9,")),
        ("another pack", |bytes| replaced(&bytes, "PACK", "KCAP")),
    ] {
        let mut scene = killed_in_turn(TWICE, 4);
        let moment = scene.job.folder.path().join("state/moment");
        fs::write(&moment, spoil(fs::read(&moment).unwrap())).unwrap();
        let (code, log) = scene.run_again();
        assert_eq!(code, DELIVERED, "{name}: {log}");
        assert!(log.contains("what an earlier try left is not gone on with"), "{name}: {log}");
        assert_eq!(scene.outcome().resumed_at_turn, None, "{name}");
        assert_eq!(tree(&scene), expected, "{name}");
    }
}

/// The first of such words by others as long.
fn replaced(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old.as_bytes()).unwrap();
    let mut bytes = bytes.to_vec();
    bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
    bytes
}

#[test]
fn a_session_that_is_lost_is_told_what_was_done() {
    let mut scene = killed_in_turn(JOB, 4);
    let moment = scene.job.folder.path().join("state/moment");
    let spoilt = replaced(
        &fs::read(&moment).unwrap(),
        ".claude/projects/here/s1",
        "../../../../../../../oh1",
    );
    fs::write(&moment, spoilt).unwrap();
    let (code, log) = scene.run_again();
    assert_eq!(code, DELIVERED, "{log}");
    assert_eq!(scene.outcome().resumed_at_turn, Some(4));
    let prompts: Vec<_> = scene
        .log_entries()
        .into_iter()
        .filter(|entry| entry["step"] == "worker_turn_1_prompt")
        .map(|entry| entry["raw_output"].as_str().unwrap().to_owned())
        .collect();
    let [first, second] = prompts.as_slice() else { panic!("{prompts:?}") };
    assert!(second.starts_with("# Add it") && second.ends_with(first), "{second}");
    assert!(second.contains("You worked on this before"), "{second}");
    assert!(
        second.contains("> I did some of it.") && second.contains("> 1. Write new"),
        "{second}"
    );
    assert_eq!(worker_calls(&scene), 6);
}

#[test]
fn work_goes_on_where_it_began_though_the_base_has_moved_on() {
    let mut scene = killed_in_turn(JOB, 5);
    turn::commit(scene.job.folder.path(), "OTHERS", "of somebody else\n");
    let (code, log) = scene.run_again();
    assert_eq!(code, DELIVERED, "{log}");
    assert_eq!((scene.outcome().resumed_at_turn, worker_calls(&scene)), (Some(5), 6));
    let repository = scene.outcome().repository.unwrap();
    assert_eq!(repository.base_moved_to.unwrap(), scene.git(&["rev-parse", "main"]));
    let parent = scene.git(&["rev-parse", &format!("{}^", scene.pushed().unwrap())]);
    assert_eq!(parent, scene.git(&["rev-parse", "main^"]));
}

#[test]
fn work_that_was_saved_because_the_director_failed_is_gone_on_with_and_delivered() {
    let plan = Plan { director: &[APPROVED, MORE, OTHER, PROSE, PROSE, PROSE, DONE], ..JOB };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (code, log) = scene.job.end();
    assert_eq!(code, Some(i32::from(AgentExit::DirectorFailed.code())), "{log}");
    assert_eq!(scene.branches(), ["ticket-rescue"]);
    let (code, log) = scene.run_again();
    assert_eq!(code, DELIVERED, "{log}");
    assert_eq!((worker_calls(&scene), scene.asked_director().len()), (5, 7));
    assert_eq!(scene.branches(), ["ticket"], "what was saved is in what is delivered");
    assert_eq!(tree(&scene), unkilled(JOB).0);
}

#[test]
fn work_that_is_done_is_published_without_asking_anybody_again() {
    let mut scene = Scene::of(JOB, |request, before| match (request.what, before) {
        ("open", 0) => Answer::Silence,
        _ => Answer::Usual,
    });
    scene.asked("open");
    scene.job.kill();
    let (code, log) = scene.run_again();
    assert_eq!(code, DELIVERED, "{log}");
    assert_eq!((worker_calls(&scene), scene.asked_director().len()), (5, 4));
    assert_eq!((scene.pull_requests(), scene.branches()), (1, vec!["ticket".to_owned()]));
}

const CHECK: &str = "[check]\ncommand = \"[ $(wc -l < new) -ge 2 ] || \
                     { echo it is not good; exit 3; }\"\n";

#[test]
fn without_a_director_the_turn_and_the_turns_of_the_check_go_on_as_well() {
    let plan = Plan { director: &[], project: Some(CHECK), ..JOB };
    let (expected, whole) = unkilled(plan);
    assert_eq!(whole.turns.len(), 2);
    for turn in 1..=2 {
        let mut scene = killed_in_turn(plan, turn);
        let (code, log) = scene.run_again();
        assert_eq!(code, DELIVERED, "turn {turn}: {log}");
        assert_eq!(worker_calls(&scene), 3, "turn {turn}");
        assert_eq!(tree(&scene), expected, "turn {turn}");
    }
}
