use std::os::unix::fs::PermissionsExt;

use api_client::contract::TRANSCRIPT_MAX_BYTES;

use super::writer::LINE_MAX;
use super::*;
use crate::worker::listener::TurnReport;
use crate::worker::process::Finished;

fn begun() -> TurnBegun {
    TurnBegun {
        version: VERSION,
        cli: "claude-code".to_owned(),
        own_provider: false,
        turn_limit_secs: 60,
        stall_limit_secs: 30,
    }
}

fn finished(code: i32) -> Finished {
    let stop = Stop::Exited(ExitStatus::from_raw(code << 8));
    Finished { stop, stderr: "words".to_owned(), counts: Default::default() }
}

/// A transcript in a folder of its own, and what is read of it at the end.
fn taken_down(take_down: impl FnOnce(&Transcript)) -> (String, Vec<RecordedTurn>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript.jsonl");
    std::fs::write(&path, "of an earlier run").unwrap();
    let transcript = Transcript::default();
    transcript.write_to(Some(path.clone()));
    take_down(&transcript);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(path).unwrap();
    let turns = turns_of(&text).unwrap();
    (text, turns)
}

#[test]
fn turns_are_read_as_they_were_taken_down() {
    let (_, turns) = taken_down(|transcript| {
        transcript.begin(&begun());
        transcript.line(r#"{"type":"a"}"#);
        transcript.line("no JSON: \"\u{1b}\\");
        transcript.process_ended(finished(3));
        transcript.end(&begun(), &TurnReport::not_begun(Ending::Crashed("x".to_owned())));
        let unfit = Ending::AuthFailed("no".to_owned());
        transcript.end(&begun(), &TurnReport::not_begun(unfit));
        transcript.begin(&begun());
        transcript.line("last");
    });
    assert_eq!(turns.len(), 3);
    assert_eq!(turns[0].lines, [r#"{"type":"a"}"#, "no JSON: \"\u{1b}\\"]);
    let ended = turns[0].ended.as_ref().unwrap();
    assert_eq!((&ended.how, ended.stderr.as_str()), (&HowEnded::ExitCode(3), "words"));
    assert_eq!(ended.ending, "crashed");
    let ended = turns[1].ended.as_ref().unwrap();
    assert_eq!(ended.how, HowEnded::NotBegun(Ending::AuthFailed("no".to_owned())));
    assert_eq!((&turns[2].lines[..], &turns[2].ended), (&["last".to_owned()][..], &None));
}

#[test]
fn of_long_turns_the_beginning_and_the_end_of_each_are_kept_within_the_limit() {
    let (text, turns) = taken_down(|transcript| {
        for turn in 0..12 {
            transcript.begin(&begun());
            for number in 0..40 {
                transcript.line(&format!("{turn}:{number}:{}", "x".repeat(100_000)));
            }
            transcript.line(&"y".repeat(LINE_MAX));
            transcript.line("the end");
            transcript.process_ended(finished(0));
            transcript.end(&begun(), &TurnReport::not_begun(Ending::Finished));
        }
    });
    assert!(text.len() <= TRANSCRIPT_MAX_BYTES, "{}", text.len());
    assert!(turns.len() >= 4 && turns.len() <= 12, "{}", turns.len());
    for turn in &turns[..4] {
        assert_eq!(turn.lines.last().unwrap(), "the end");
        assert!(turn.left_out > 0 && turn.ended.is_some());
    }
    assert!(turns[0].lines[0].starts_with("0:0:"));
}

#[test]
fn a_line_that_is_no_record_is_named_and_a_cut_last_one_is_left_out() {
    let turn = serde_json::to_string(&Record::Turn(begun())).unwrap();
    assert_eq!(turns_of(&format!("{turn}\n{{\"record\":\"li")).unwrap().len(), 1);
    let said = |text: &str| turns_of(text).unwrap_err().to_string();
    assert_eq!(said(&format!("{turn}\nx\n")), "line 2 is no record of a transcript");
    assert_eq!(said("{\"record\":\"line\",\"text\":\"\"}\n"), "line 1 belongs to no turn");
    let later = turn.replace("\"version\":1", "\"version\":2");
    assert!(said(&format!("{later}\n")).starts_with("line 1 has version 2"));
}

#[test]
fn a_file_that_cannot_be_had_costs_the_record_alone() {
    let transcript = Transcript::default();
    transcript.write_to(Some("/nonexistent/transcript".into()));
    transcript.begin(&begun());
    transcript.line("x");
    transcript.process_ended(finished(0));
    transcript.end(&begun(), &TurnReport::not_begun(Ending::Finished));
}
