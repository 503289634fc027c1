//! Streams that OpenCode 1.18.33 wrote against a scripted model.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::*;

/// The ending of a recorded stream and exit code, with all of its events.
fn ending(stream: &str, code: i32) -> (Ending, Vec<Event>) {
    let mut reader = Events::default();
    let events = stream.lines().flat_map(|line| reader.line(line)).collect();
    let exit = Exit { status: Some(ExitStatus::from_raw(code << 8)), stderr: "" };
    (reader.judge(&exit), events)
}

#[test]
fn an_edit_is_read_event_by_event() {
    let (ending, events) = ending(include_str!("../fixtures/opencode_edit.jsonl"), 0);
    assert_eq!(ending, Ending::Finished);
    let usage = Event::Usage(Usage { input: 800, cached: 200, output: 50 });
    let expected = [
        Event::Session("ses_e042e6b5effe9tHDU4WnYmN5iu".to_owned()),
        Event::Tool { name: "write".to_owned(), on: "/job/tree/hello.txt".to_owned() },
        Event::FileChange("/job/tree/hello.txt".to_owned()),
        usage.clone(),
        Event::Text("FAKE-LLM-DONE: the file was written.".to_owned()),
        usage,
        Event::PerhapsEnd,
    ];
    assert_eq!(events, expected);
}

#[test]
fn an_answer_without_an_edit_or_a_word_is_finished_all_the_same() {
    for stream in [
        include_str!("../fixtures/opencode_noop.jsonl"),
        include_str!("../fixtures/opencode_empty.jsonl"),
        include_str!("../fixtures/opencode_shellfail.jsonl"),
    ] {
        assert_eq!(ending(stream, 0).0, Ending::Finished);
    }
}

#[test]
fn a_failing_endpoint_is_told_by_its_status() {
    let of = |stream| ending(stream, 1).0;
    let message = |status| format!("fake error {status}");
    assert_eq!(
        of(include_str!("../fixtures/opencode_401.jsonl")),
        Ending::AuthFailed(message(401))
    );
    assert_eq!(
        of(include_str!("../fixtures/opencode_404.jsonl")),
        Ending::ModelUnavailable(message(404))
    );
    assert_eq!(
        of(include_str!("../fixtures/opencode_429.jsonl")),
        Ending::RateLimited { why: message(429), reset: None }
    );
    assert_eq!(
        of(include_str!("../fixtures/opencode_500.jsonl")),
        Ending::ModelUnavailable(message(500))
    );
    let refused = of(include_str!("../fixtures/opencode_refused.jsonl"));
    assert!(matches!(refused, Ending::ModelUnavailable(why) if why.contains("Unable to connect")));
}

#[test]
fn an_endless_loop_is_hopeless_at_its_third_turn() {
    let mut reader = Events::default();
    let hopeless: Vec<bool> = include_str!("../fixtures/opencode_garbage.jsonl")
        .lines()
        .filter(|line| line.contains("step_finish"))
        .take(3)
        .map(|line| matches!(reader.line(line).last(), Some(Event::Hopeless(_))))
        .collect();
    assert_eq!(hopeless, [false, false, true]);
}

#[test]
fn a_stream_that_breaks_off_is_a_failure() {
    let whole = include_str!("../fixtures/opencode_edit.jsonl");
    for length in 0..5 {
        let cut: String = whole.lines().take(length).map(|line| format!("{line}\n")).collect();
        assert_ne!(ending(&cut, 0).0, Ending::Finished, "{length} lines");
    }
}

#[test]
fn an_error_is_a_failure_whatever_the_exit_code_says() {
    let (ending, _) = ending(include_str!("../fixtures/opencode_401.jsonl"), 0);
    assert!(matches!(ending, Ending::AuthFailed(_)));
}

#[test]
fn lines_that_are_no_events_are_counted_and_harmless() {
    let forged = [
        "",
        "null",
        "[]",
        "{",
        "\u{fffd}",
        r#"{"type":5}"#,
        r#"{"type":"error"}"#,
        r#"{"type":"step_finish","part":"x"}"#,
        r#"{"type":"new_kind"}"#,
    ];
    let mut reader = Events::default();
    let unknown = forged.iter().flat_map(|line| reader.line(line));
    assert_eq!(unknown.filter(|event| *event == Event::Unknown).count(), 7);
}

#[test]
fn the_key_is_in_one_variable_and_nowhere_else() {
    let key = "sk-the-key-itself";
    let endpoint = "http://127.0.0.1:5099".parse().unwrap();
    let cli = OpenCode::new(ChatModel { endpoint, model: "m".to_owned() }, Secret::from(key));
    let holders: Vec<_> = cli
        .environment(Path::new("/job/home"))
        .into_iter()
        .filter(|(_, value)| value.to_str().unwrap().contains(key))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(holders, [KEY_VARIABLE]);
    let turn = Turn { session: Some("ses_1"), home: Path::new("/h"), prompt_file: None };
    assert!(cli.arguments(&turn).iter().all(|argument| argument != key));
}
