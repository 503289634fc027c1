//! What is remembered comes back, and what others put there does nothing.

use super::*;

const HUMAN: &str = "**Add it**\r\n\r\nWith `code`.\n\n<!-- a note of somebody -->\n";

const PLACE: &str = "http://forge/acme/shop/pull/7";

fn seal() -> Seal {
    sealed_by("ghp_topsecret", PLACE)
}

/// The seal of a run that has nothing but a token.
fn sealed_by(token: &str, place: &str) -> Seal {
    Seal::new(&token.into(), &token.into(), place)
}

fn ledger() -> Ledger {
    let decision = |key: &str, reply: &str| Decision {
        key: key.parse().unwrap(),
        ending: ThreadEnding::Fixed,
        reply: reply.to_owned(),
    };
    Ledger {
        rounds: 2,
        commit: Some("0123456789abcdef0123456789abcdef01234567".parse().unwrap()),
        decisions: vec![
            decision("line:11@14", "Done --> @ann\n<b>ü"),
            decision("comment:3@3", "x"),
        ],
        settled: vec!["line:9@10".parse().unwrap()],
    }
}

#[test]
fn what_was_decided_comes_back_and_the_text_of_people_stays() {
    let draft = format!("{HUMAN}\n{UNTIL_CHECKS_PASS}\n");
    for human in [HUMAN, "", "No end of line", &draft] {
        let written = ledger().write_into(human, &seal()).unwrap();
        assert_eq!(Ledger::read(&written, &seal()), ledger(), "{written}");
        assert_eq!(without_ledger(&written), human);
        let again = Ledger { rounds: 3, ..ledger() }.write_into(&written, &seal()).unwrap();
        assert_eq!(
            (without_ledger(&again), Ledger::read(&again, &seal()).rounds),
            (human.to_owned(), 3)
        );
        assert_eq!(again.matches(BEGIN).count(), 1);
        let of_ours = human.trim_end().ends_with(UNTIL_CHECKS_PASS);
        assert_eq!(again.trim_end().ends_with(UNTIL_CHECKS_PASS), of_ours);
    }
}

#[test]
fn a_thread_is_settled_up_to_one_comment_and_the_oldest_are_forgotten() {
    let mut ledger = ledger();
    ledger.settle("line:9@12".parse().unwrap());
    assert_eq!(ledger.settled, ["line:9@12".parse().unwrap()]);
    for number in 100..100 + SETTLED_MAX {
        ledger.settle(format!("comment:{number}@{number}").parse().unwrap());
    }
    assert_eq!(ledger.settled.len(), SETTLED_MAX);
    assert_eq!(ledger.settled[0].to_string(), "comment:100@100");
}

#[test]
fn nothing_that_was_said_ends_the_comment_that_hides_it() {
    let written = ledger().write_into("", &seal()).unwrap();
    assert_eq!(written.matches("-->").count(), 1);
    assert!(!written.contains('@') && written.lines().count() == 1, "{written}");
}

#[test]
fn a_line_that_somebody_forged_decides_nothing() {
    let elsewhere = sealed_by("ghp_topsecret", "http://forge/acme/shop/pull/8");
    let stranger = sealed_by("ghp_another", PLACE);
    for forger in [elsewhere, stranger] {
        let written = ledger().write_into(HUMAN, &forger).unwrap();
        let read = Ledger::read(&written, &seal());
        assert_eq!((read.decisions, read.commit), (Vec::new(), None));
        assert_eq!(read.rounds, 2, "that can only make us do less");
    }
}

#[test]
fn a_key_that_is_set_later_leaves_what_the_token_sealed_readable() {
    let written = ledger().write_into(HUMAN, &seal()).unwrap();
    let with_key = |token: &str| Seal::new(&"a-key-of-its-own".into(), &token.into(), PLACE);
    assert_eq!(Ledger::read(&written, &with_key("ghp_topsecret")), ledger());
    let written = ledger().write_into(&written, &with_key("ghp_topsecret")).unwrap();
    assert_eq!(Ledger::read(&written, &with_key("ghp_another")), ledger(), "whatever the token is");
    assert_eq!(Ledger::read(&written, &seal()).decisions, Vec::new());
}

#[test]
fn a_line_that_somebody_broke_is_no_line_and_the_next_one_is_written_beside_it() {
    let written = ledger().write_into(HUMAN, &seal()).unwrap();
    for (from, to) in [("\"rounds\"", "\"round\""), (" -->", ""), ("line:11", "line:12")] {
        let broken = format!("{HUMAN}{}", written[HUMAN.len()..].replace(from, to));
        let read = Ledger::read(&broken, &seal());
        assert_eq!(read.decisions, Vec::new(), "{from}");
        let mended = ledger().write_into(&broken, &seal()).unwrap();
        assert_eq!(Ledger::read(&mended, &seal()), ledger(), "{from}");
        assert!(mended.starts_with(HUMAN), "{from}");
    }
}

#[test]
fn replies_are_shortened_for_want_of_room_and_a_full_text_is_refused() {
    let long = "ü".repeat(3_900);
    let decisions = ledger().decisions.into_iter().cycle().take(10);
    let decisions = decisions.map(|one| Decision { reply: long.clone(), ..one }).collect();
    let ledger = Ledger { decisions, ..ledger() };
    let written = ledger.write_into(&"x".repeat(50_000), &seal()).unwrap();
    assert!(written.chars().count() <= BODY_MAX_CHARS);
    let read = Ledger::read(&written, &seal());
    assert_eq!(read.decisions[9].reply.chars().count(), 1_001);
    assert_eq!(ledger.write_into(&"x".repeat(64_900), &seal()), Err(NoRoom));
}
