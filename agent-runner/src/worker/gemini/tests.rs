//! Streams that Gemini CLI 0.61.0 wrote against a scripted model.

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

fn cli() -> Gemini {
    let endpoint = "http://127.0.0.1:5099/v1beta".parse().unwrap();
    Gemini::new(OwnModel { endpoint, model: Some("m".to_owned()) }, Secret::from("sk-the-key"))
}

#[test]
fn an_edit_is_read_event_by_event() {
    let (ending, events) = ending(include_str!("../fixtures/gemini_edit.jsonl"), 0);
    assert_eq!(ending, Ending::Finished);
    let expected = [
        Event::Tool { name: "write_file".to_owned(), on: "/job/tree/hello.txt".to_owned() },
        Event::FileChange("/job/tree/hello.txt".to_owned()),
        Event::Text("The file is written.".to_owned()),
        Event::Usage(Usage { input: 1600, cached: 400, output: 100 }),
        Event::End,
    ];
    assert!(matches!(events[0], Event::Session(_)));
    assert_eq!(events[1..], expected);
}

#[test]
fn words_that_come_in_pieces_are_one_text() {
    let (ending, events) = ending(include_str!("../fixtures/gemini_noop.jsonl"), 0);
    assert_eq!(ending, Ending::Finished);
    let text = Event::Text("There is nothing to change.".to_owned());
    assert!(events.contains(&text), "{events:?}");
}

#[test]
fn a_command_that_failed_is_no_ending() {
    let (ending, _) = ending(include_str!("../fixtures/gemini_shellfail.jsonl"), 0);
    assert_eq!(ending, Ending::Finished);
}

#[test]
fn a_tool_that_failed_changed_no_file() {
    let lines = [
        r#"{"type":"tool_use","tool_name":"write_file","tool_id":"1","parameters":{"file_path":"/a"}}"#,
        r#"{"type":"tool_result","tool_id":"1","status":"error","error":{"message":"read-only"}}"#,
    ];
    let (_, events) = ending(&lines.join("\n"), 1);
    let tool = Event::Tool { name: "write_file".to_owned(), on: "/a".to_owned() };
    assert_eq!(events, [tool, Event::ToolFailed("read-only".to_owned())]);
}

#[test]
fn a_result_of_an_error_is_none_though_the_exit_code_is_0() {
    let (ending, _) = ending(include_str!("../fixtures/gemini_empty.jsonl"), 0);
    assert!(
        matches!(&ending, Ending::ModelUnavailable(why) if why.contains("empty response")),
        "{ending}"
    );
}

#[test]
fn a_failing_endpoint_is_told_by_the_exit_code_or_its_own_words() {
    let name = |stream, code| ending(stream, code).0.name();
    for code in [145, 1] {
        assert_eq!(name(include_str!("../fixtures/gemini_401.jsonl"), code), "auth_failed");
    }
    assert_eq!(name(include_str!("../fixtures/gemini_404.jsonl"), 1), "model_unavailable");
    for code in [173, 1] {
        assert_eq!(name(include_str!("../fixtures/gemini_429.jsonl"), code), "rate_limited");
    }
    assert_eq!(name(include_str!("../fixtures/gemini_500.jsonl"), 244), "model_unavailable");
    for stream in [
        include_str!("../fixtures/gemini_drop.jsonl"),
        include_str!("../fixtures/gemini_garbage.jsonl"),
        include_str!("../fixtures/gemini_refused.jsonl"),
    ] {
        assert_eq!(name(stream, 1), "model_unavailable");
    }
}

#[test]
fn a_stream_that_breaks_off_is_a_failure_with_any_exit_code() {
    let whole = include_str!("../fixtures/gemini_edit.jsonl");
    for length in 0..whole.lines().count() {
        let cut: String = whole.lines().take(length).map(|line| format!("{line}\n")).collect();
        for code in [0, 1, 145] {
            assert_ne!(ending(&cut, code).0, Ending::Finished, "{length} lines");
        }
    }
    assert_eq!(ending(whole, 1).0, Ending::Crashed("exit code 1".to_owned()));
}

#[test]
fn exit_codes_of_its_own_have_their_endings() {
    assert_eq!(ending("", 41).0.name(), "auth_failed");
    assert_eq!(ending("", 54).0.name(), "tools_broken");
    assert_eq!(ending("", 53).0.name(), "crashed");
}

#[test]
fn the_tree_is_trusted_by_the_argument_alone() {
    let turn = Turn { session: Some("the-id"), home: Path::new("/h"), prompt_file: None };
    let arguments = cli().arguments(&turn);
    assert!(arguments.contains(&"--skip-trust".into()), "{arguments:?}");
    assert!(arguments.ends_with(&["--resume".into(), "the-id".into()]));
    let environment = cli().environment(Path::new("/h"));
    assert!(environment.iter().all(|(name, _)| name != "GEMINI_CLI_TRUST_WORKSPACE"));
    assert!(environment.contains(&("GEMINI_CLI_NO_RELAUNCH".into(), "true".into())));
    assert!(environment.contains(&("GOOGLE_API_KEY".into(), "".into())));
    let url = ("GOOGLE_GEMINI_BASE_URL".into(), "http://127.0.0.1:5099".into());
    assert!(environment.contains(&url), "{environment:?}");
    let settings = Gemini::settings();
    assert_eq!(settings["security"]["folderTrust"]["enabled"], true);
    assert_eq!(settings["hooksConfig"]["enabled"], false);
}
