//! Streams that Codex 0.169.0 wrote against a scripted model.

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

fn cli(model: Option<&str>) -> Codex {
    let endpoint = "http://127.0.0.1:5099".parse().unwrap();
    Codex::new(OwnModel { endpoint, model: model.map(str::to_owned) }, Secret::from("sk-the-key"))
}

#[test]
fn an_edit_is_read_event_by_event() {
    let (ending, events) = ending(include_str!("../fixtures/codex_edit.jsonl"), 0);
    assert_eq!(ending, Ending::Finished);
    let [Event::Session(_), Event::Note(_), Event::Tool { name, on }, text, usage, Event::End] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert!(name == "shell" && on.contains("> '/job/tree/hello.txt'"), "{on}");
    assert_eq!(*text, Event::Text("The file is written.".to_owned()));
    assert_eq!(*usage, Event::SessionUsage(Usage { input: 1600, cached: 400, output: 100 }));
}

#[test]
fn an_answer_without_an_edit_or_a_word_is_finished_all_the_same() {
    for stream in [
        include_str!("../fixtures/codex_noop.jsonl"),
        include_str!("../fixtures/codex_empty.jsonl"),
    ] {
        assert_eq!(ending(stream, 0).0, Ending::Finished);
    }
}

#[test]
fn a_command_that_failed_is_no_broken_tool_and_no_ending() {
    let (ending, events) = ending(include_str!("../fixtures/codex_shellfail.jsonl"), 0);
    assert_eq!(ending, Ending::Finished);
    let failed = Event::CommandFailed("exit code 3: broken".to_owned());
    assert!(events.contains(&failed), "{events:?}");
}

#[test]
fn a_command_that_could_not_be_run_is_a_broken_tool() {
    for code in ["null", "126", "127", "137"] {
        let stream = format!(
            r#"{{"type":"item.completed","item":{{"type":"command_execution","exit_code":{code},"status":"failed"}}}}"#
        );
        assert_eq!(ending(&stream, 1).1, [Event::ToolFailed(String::new())], "{code}");
    }
}

#[test]
fn a_patch_is_a_change_of_each_of_its_files() {
    let item = |status: &str| {
        format!(
            r#"{{"type":"item.completed","item":{{"type":"file_change","status":"{status}",
            "changes":[{{"path":"/a","kind":"add"}},{{"path":"/b","kind":"update"}}]}}}}"#
        )
        .replace('\n', "")
    };
    let tool = Event::Tool { name: "apply_patch".to_owned(), on: "/a /b".to_owned() };
    let changed = ["/a", "/b"].map(|path| Event::FileChange(path.to_owned()));
    assert_eq!(ending(&item("completed"), 1).1, [&[tool.clone()][..], &changed].concat());
    let failed = Event::ToolFailed("the patch could not be applied".to_owned());
    assert_eq!(ending(&item("failed"), 1).1, [tool, failed]);
}

#[test]
fn a_failing_endpoint_is_told_by_its_status_or_its_words() {
    let name = |stream| ending(stream, 1).0.name();
    assert_eq!(name(include_str!("../fixtures/codex_401.jsonl")), "auth_failed");
    assert_eq!(name(include_str!("../fixtures/codex_404.jsonl")), "model_unavailable");
    assert_eq!(name(include_str!("../fixtures/codex_429.jsonl")), "rate_limited");
    for stream in [
        include_str!("../fixtures/codex_500.jsonl"),
        include_str!("../fixtures/codex_drop.jsonl"),
        include_str!("../fixtures/codex_garbage.jsonl"),
        include_str!("../fixtures/codex_refused.jsonl"),
    ] {
        assert_eq!(name(stream), "model_unavailable");
    }
}

#[test]
fn a_refused_key_is_not_tried_five_times() {
    let hopeless = |stream: &str| {
        let (_, events) = ending(stream, 1);
        assert!(events.iter().any(|event| matches!(event, Event::Retry(_))), "{events:?}");
        events.iter().any(|event| matches!(event, Event::Hopeless(Ending::AuthFailed(_))))
    };
    assert!(hopeless(include_str!("../fixtures/codex_401.jsonl")));
    assert!(!hopeless(include_str!("../fixtures/codex_500.jsonl")));
}

#[test]
fn a_stream_that_breaks_off_is_a_failure_with_any_exit_code() {
    let whole = include_str!("../fixtures/codex_edit.jsonl");
    for length in 0..whole.lines().count() {
        let cut: String = whole.lines().take(length).map(|line| format!("{line}\n")).collect();
        for code in [0, 1] {
            assert_ne!(ending(&cut, code).0, Ending::Finished, "{length} lines");
        }
    }
    assert_eq!(ending(whole, 1).0, Ending::Crashed("exit code 1".to_owned()));
}

#[test]
fn the_settings_name_the_variable_of_the_key_and_not_the_key() {
    let files = cli(Some("m\"odd")).files();
    let [(path, text)] = &files[..] else { panic!("{files:?}") };
    assert_eq!(path, Path::new(".codex/config.toml"));
    assert!(text.starts_with("model = \"m\\\"odd\"\n"), "{text}");
    assert!(text.contains("base_url = \"http://127.0.0.1:5099/v1\"\n"), "{text}");
    assert!(text.contains("env_key = \"WORKER_ENDPOINT_KEY\"\n"), "{text}");
    assert!(!text.contains("sk-the-key"), "{text}");
    let default = cli(None).files().remove(0).1;
    assert!(default.starts_with("model_provider"), "{default}");
}

#[test]
fn an_earlier_session_is_resumed() {
    let arguments = |session| {
        let turn = Turn { session, home: Path::new("/h"), prompt_file: None };
        cli(None).arguments(&turn)
    };
    assert_eq!(arguments(None), ["exec", "--json", "-"]);
    assert_eq!(arguments(Some("t")), ["exec", "--json", "resume", "t", "-"]);
}
