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
    let (ended, scene) = run(Plan { director, ..plan(ANSWERS) }, &forge);
    assert_eq!((ended, turns(&scene)), (code(AgentExit::Delivered), 5));
    assert!(forge.replies()[0].1.contains("So."), "{:?}", forge.replies());
    for asked in scene.asked_director() {
        let asked = asked.to_string();
        assert!(asked.contains("nothing has to be changed for them"), "{asked}");
        assert!(!asked.contains("while nothing is changed"), "{asked}");
    }
    let told = scene.log_entries().iter().map(ToString::to_string).collect::<String>();
    assert!(!told.contains("choose another approach"), "{told}");
}
