//! A review under a Director, which judges it as one.

use api_client::contract::AgentExit;

use super::forge::{Forge, line};
use super::{ANSWERS, code, plan, run, turns};
use crate::directed::{DONE, MORE, OTHER};
use crate::scene::Plan;

#[test]
fn questions_are_answered_in_words_however_many_turns_it_takes() {
    let forge = Forge::quiet();
    forge.say(line(1, "ann", "MEMBER", "Why?"));
    let director = &[MORE, OTHER, MORE, OTHER, DONE];
    let other_words = "sed \"s/So/So $(wc -l < $HERE/turns)/\" <<'EOF'";
    let claude = ANSWERS.replace("cat <<'EOF'", other_words).leak();
    let (ended, scene) = run(Plan { director, ..plan(claude) }, &forge);
    assert_eq!((ended, turns(&scene)), (code(AgentExit::Delivered), 5));
    assert!(forge.replies()[0].1.contains("So 5."), "{:?}", forge.replies());
    for asked in scene.asked_director() {
        let asked = asked.to_string();
        assert!(asked.contains("nothing has to be changed for them"), "{asked}");
        assert!(!asked.contains("while nothing is changed"), "{asked}");
    }
    let told = scene.log_entries().iter().map(ToString::to_string).collect::<String>();
    assert!(!told.contains("choose another approach"), "{told}");
}

#[test]
fn a_worker_that_says_and_does_the_same_again_and_again_is_stopped() {
    let forge = Forge::quiet();
    forge.say(line(1, "ann", "MEMBER", "Why?"));
    let director = &[MORE, OTHER, MORE, OTHER, MORE, OTHER, MORE];
    let (ended, scene) = run(Plan { director, ..plan(ANSWERS) }, &forge);
    assert_eq!((ended, turns(&scene)), (code(AgentExit::BudgetExhausted), 6));
}
