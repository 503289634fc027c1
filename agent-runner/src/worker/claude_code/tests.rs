//! Streams that Claude Code 2.1.329 wrote against a scripted model.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::*;

fn events() -> Events {
    Events { result: None, has_text: false, provider: Provider::Own }
}

/// The ending of a recorded stream and exit code, with all of its events.
fn ending(stream: &str, code: i32) -> (Ending, Vec<Event>) {
    let mut reader = events();
    let events = stream.lines().flat_map(|line| reader.line(line)).collect();
    let exit = Exit { status: Some(ExitStatus::from_raw(code << 8)), stderr: "" };
    (reader.judge(&exit), events)
}

#[test]
fn an_edit_is_read_event_by_event() {
    let (ending, events) = ending(include_str!("../fixtures/claude_code_edit.jsonl"), 0);
    assert_eq!(ending, Ending::Finished);
    let expected = [
        Event::Session("11111111-2222-4333-8444-555555555555".to_owned()),
        Event::Tool { name: "Write".to_owned(), on: "/job/tree/hello.txt".to_owned() },
        Event::FileChange("/job/tree/hello.txt".to_owned()),
        Event::Text("FAKE-LLM-DONE: the file was written.".to_owned()),
        Event::Usage(Usage { input: 1600, cached: 400, output: 100 }),
        Event::End,
        Event::SessionCost(0.008_480_000_000_000_001),
    ];
    assert_eq!(events, expected);
}

#[test]
fn an_answer_without_an_edit_or_a_word_is_finished_all_the_same() {
    for stream in [
        include_str!("../fixtures/claude_code_noop.jsonl"),
        include_str!("../fixtures/claude_code_empty.jsonl"),
    ] {
        assert_eq!(ending(stream, 0).0, Ending::Finished);
    }
}

#[test]
fn a_tool_that_failed_is_an_event_and_no_ending() {
    let (ending, events) = ending(include_str!("../fixtures/claude_code_shellfail.jsonl"), 0);
    assert_eq!(ending, Ending::Finished);
    assert!(events.contains(&Event::CommandFailed("Exit code 3".to_owned())), "{events:?}");
}

#[test]
fn a_failing_endpoint_is_told_by_its_status_though_the_subtype_says_success() {
    let of = |stream: &str| {
        assert!(stream.contains(r#""subtype":"success""#));
        ending(stream, 1).0
    };
    assert!(matches!(of(include_str!("../fixtures/claude_code_401.jsonl")), Ending::AuthFailed(_)));
    assert!(matches!(
        of(include_str!("../fixtures/claude_code_404.jsonl")),
        Ending::ModelUnavailable(_)
    ));
    assert!(matches!(
        of(include_str!("../fixtures/claude_code_429.jsonl")),
        Ending::RateLimited { .. }
    ));
    for (stream, words) in [
        (include_str!("../fixtures/claude_code_500.jsonl"), "500"),
        (include_str!("../fixtures/claude_code_refused.jsonl"), "Connection refused"),
        (include_str!("../fixtures/claude_code_drop.jsonl"), "ECONNRESET"),
        (include_str!("../fixtures/claude_code_garbage.jsonl"), "malformed response"),
    ] {
        let failed = of(stream);
        assert!(
            matches!(&failed, Ending::ModelUnavailable(why) if why.contains(words)),
            "{failed}"
        );
    }
}

#[test]
fn retries_and_the_cli_s_own_words_are_not_taken_for_the_model_s() {
    let (_, events) = ending(include_str!("../fixtures/claude_code_401.jsonl"), 1);
    let retry = Event::Retry("1 of 2: status 401, authentication_failed".to_owned());
    assert!(events.contains(&retry), "{events:?}");
    let hopeless = |event: &Event| matches!(event, Event::Hopeless(Ending::AuthFailed(_)));
    assert!(events.iter().any(hopeless), "a refused key is not tried ten times: {events:?}");
    let (_, events) = ending(include_str!("../fixtures/claude_code_429.jsonl"), 1);
    assert!(!events.iter().any(|event| matches!(event, Event::Hopeless(_))), "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::Text(_))), "{events:?}");
}

#[test]
fn a_stream_that_breaks_off_is_a_failure_with_any_exit_code() {
    let whole = include_str!("../fixtures/claude_code_edit.jsonl");
    for (length, code) in [(0, 0), (2, 0), (4, 0), (4, 1)] {
        let cut: String = whole.lines().take(length).map(|line| format!("{line}\n")).collect();
        assert_ne!(ending(&cut, code).0, Ending::Finished, "{length} lines");
    }
}

#[test]
fn a_good_result_with_a_bad_exit_is_no_success() {
    let (ending, _) = ending(include_str!("../fixtures/claude_code_edit.jsonl"), 1);
    assert_eq!(ending, Ending::Crashed("exit code 1".to_owned()));
}

#[test]
fn a_process_that_outlived_its_result_is_judged_by_it() {
    let mut reader = events();
    for line in include_str!("../fixtures/claude_code_edit.jsonl").lines() {
        let _counted_elsewhere = reader.line(line);
    }
    assert_eq!(reader.judge(&Exit { status: None, stderr: "" }), Ending::Finished);
}

#[test]
fn lines_that_are_no_events_are_harmless() {
    let mut reader = events();
    for line in ["", "null", "{", r#"{"type":"assistant","message":7}"#, r#"{"type":"user"}"#] {
        assert!(reader.line(line).iter().all(|event| *event == Event::Unknown), "{line}");
    }
    let forged = reader.line(r#"{"type":"result","is_error":"no","result":{}}"#);
    assert!(forged.contains(&Event::End));
    let exit = Exit { status: Some(ExitStatus::from_raw(0)), stderr: "" };
    assert_ne!(reader.judge(&exit), Ending::Finished);
}

#[test]
fn an_earlier_session_is_resumed() {
    let endpoint = "https://api.anthropic.com".parse().unwrap();
    let model = OwnModel { endpoint, model: Some("m".to_owned()) };
    let cli = ClaudeCode::new(model, Secret::from("k"), Provider::Own);
    let home = Path::new("/h");
    let arguments = cli.arguments(&Turn { session: Some("the-id"), home, prompt_file: None });
    assert!(arguments.ends_with(&[
        "--model".into(),
        "m".into(),
        "--resume".into(),
        "the-id".into()
    ]));
}

#[test]
fn a_result_of_an_error_is_no_success_whatever_else_it_says() {
    let stream = r#"{"type":"result","subtype":"error_max_turns","is_error":false}"#;
    assert_eq!(ending(stream, 0).0, Ending::Crashed("error_max_turns".to_owned()));
}

#[test]
fn a_failed_tool_may_speak_in_blocks() {
    let stream = r#"{"type":"user","message":{"content":[{"type":"tool_result","is_error":true,
        "content":[{"type":"text","text":"a"},{"type":"image"},{"type":"text","text":"b"}]}]}}"#;
    let (_, events) = ending(&stream.replace('\n', ""), 0);
    assert_eq!(events, [Event::ToolFailed("a\nb".to_owned())]);
}

#[test]
fn the_result_is_the_answer_where_no_message_had_any_text() {
    let result = r#"{"type":"result","is_error":false,"result":"All done."}"#;
    let said = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"So."}]}}"#;
    let texts = |stream: &str| {
        let (_, events) = ending(stream, 0);
        let texts = events.into_iter().filter(|event| matches!(event, Event::Text(_)));
        texts.collect::<Vec<_>>()
    };
    assert_eq!(texts(result), [Event::Text("All done.".to_owned())]);
    assert_eq!(texts(&format!("{said}\n{result}")), [Event::Text("So.".to_owned())]);
}
