//! A coding CLI that ends a turn well without a word or a deed.

use api_client::contract::AgentExit;

use crate::directed::{APPROVED, DONE, MORE};
use crate::scene::{Plan, Scene};
use crate::servers::Answer;

/// Ends the turn with nothing, each time that the prompt has this word.
macro_rules! empty_at {
    ($word:literal, $else:literal) => {
        concat!(
            "echo turn >> $HERE/turns\nif grep -q '",
            $word,
            r#"' $HERE/prompt; then echo '{"type":"result","is_error":false,"result":""}'; exit 0; fi
"#,
            $else
        )
    };
}

fn turns(scene: &Scene) -> usize {
    let turns = std::fs::read_to_string(scene.job.folder.path().join("turns")).unwrap();
    turns.lines().count()
}

#[test]
fn an_empty_turn_is_asked_for_once_more() {
    let claude = r#"echo turn >> $HERE/turns
if [ $(wc -l < $HERE/turns) = 1 ]; then echo '{"type":"result","is_error":false,"result":""}'; exit 0; fi
echo line >> new"#;
    let mut scene = Scene::of(Plan { claude, ..Plan::default() }, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, Some(i32::from(AgentExit::Delivered.code())), "{log}");
    assert_eq!(turns(&scene), 2);
}

#[test]
fn a_worker_that_never_says_anything_changed_nothing() {
    let plan = Plan { claude: empty_at!(".", ""), ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, Some(i32::from(AgentExit::NoChanges.code())), "{log}");
    assert_eq!(turns(&scene), 2, "once more, and no oftener");
}

#[test]
fn a_director_is_not_told_earlier_words_as_those_of_an_empty_turn() {
    let claude = empty_at!(
        "NEXT",
        r#"grep -q 'Now do the work' $HERE/prompt && echo line >> new; echo '{"type":"assistant","message":{"content":[{"type":"text","text":"Earlier words."}]}}'"#
    );
    let director = &[APPROVED, MORE, DONE];
    let plan = Plan { claude, director, ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let (ended, log) = scene.job.end();
    assert_eq!(ended, Some(i32::from(AgentExit::Delivered.code())), "{log}");
    let asked = scene.asked_director();
    let last = |at: usize| {
        let messages = asked[at]["messages"].as_array().unwrap().clone();
        messages.last().unwrap()["content"].as_str().unwrap().to_owned()
    };
    assert!(last(1).contains("> Earlier words."), "{}", last(1));
    let words = last(2);
    let words = words.split("4. What the worker says:").nth(1).unwrap();
    assert!(words.contains("> (nothing)") && !words.contains("Earlier"), "{words}");
}
