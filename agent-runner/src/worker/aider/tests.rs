//! Streams that Aider 0.86.2 wrote, by way of `launch.py`, against a scripted model.

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

fn cli() -> Aider {
    let endpoint = "http://127.0.0.1:5099".parse().unwrap();
    Aider::new(&ChatModel { endpoint, model: "m".to_owned() }, Secret::from("sk-the-key"))
}

#[test]
fn an_edit_is_read_event_by_event() {
    let (ending, events) = ending(include_str!("../fixtures/aider_edit.jsonl"), 0);
    assert_eq!(ending, Ending::Finished);
    let expected = [
        Event::Text("Done.".to_owned()),
        Event::Usage(Usage { input: 800, cached: 200, output: 50 }),
        Event::Tool { name: "edit".to_owned(), on: "hello.txt".to_owned() },
        Event::FileChange("hello.txt".to_owned()),
        Event::Session("chat.md".to_owned()),
        Event::End,
    ];
    assert_eq!(events, expected);
}

#[test]
fn an_answer_without_an_edit_or_a_word_is_finished_all_the_same() {
    for stream in [
        include_str!("../fixtures/aider_noop.jsonl"),
        include_str!("../fixtures/aider_empty.jsonl"),
    ] {
        assert_eq!(ending(stream, 0).0, Ending::Finished);
    }
}

#[test]
fn a_failing_endpoint_is_a_failure_though_the_exit_code_is_0() {
    let name = |stream| ending(stream, 0).0.name();
    assert_eq!(name(include_str!("../fixtures/aider_401.jsonl")), "auth_failed");
    assert_eq!(name(include_str!("../fixtures/aider_404.jsonl")), "model_unavailable");
    assert_eq!(name(include_str!("../fixtures/aider_429.jsonl")), "rate_limited");
    for stream in [
        include_str!("../fixtures/aider_500.jsonl"),
        include_str!("../fixtures/aider_drop.jsonl"),
        include_str!("../fixtures/aider_garbage.jsonl"),
        include_str!("../fixtures/aider_refused.jsonl"),
    ] {
        assert_eq!(name(stream), "model_unavailable");
    }
}

#[test]
fn an_end_without_an_answer_is_no_success() {
    let stream = "{\"type\":\"error\",\"text\":\"No data found\"}\n{\"type\":\"end\",\"code\":0}";
    let (ending, _) = ending(stream, 0);
    assert!(
        matches!(&ending, Ending::ModelUnavailable(why) if why.contains("No data found")),
        "{ending}"
    );
}

#[test]
fn what_it_could_not_do_is_told_by_name() {
    let after_text = |line: &str| {
        let stream = format!(
            "{{\"type\":\"text\",\"text\":\"ok\"}}\n{line}\n{{\"type\":\"end\",\"code\":0}}"
        );
        ending(&stream, 0).0.name()
    };
    assert_eq!(after_text(r#"{"type":"exhausted"}"#), "context_overflow");
    assert_eq!(after_text(r#"{"type":"unfinished","message":"no match"}"#), "tools_broken");
    assert_eq!(after_text(r#"{"type":"question","text":"a prompt"}"#), "needs_input");
    let refused = r#"{"type":"failed","error":"ContentPolicyViolationError","message":"no"}"#;
    assert_eq!(after_text(refused), "refused");
    assert_eq!(after_text(r#"{"type":"output","text":"fine"}"#), "finished");
}

#[test]
fn a_limit_is_told_with_the_time_that_its_header_says() {
    let line = r#"{"type":"failed","error":"RateLimitError","status":429,"retry_after":"17"}"#;
    let (ending, _) = ending(line, 0);
    let reset = Some(std::time::Duration::from_secs(17));
    assert_eq!(ending, Ending::RateLimited { why: String::new(), reset });
}

#[test]
fn a_stream_that_breaks_off_is_a_failure_with_any_exit_code() {
    let whole = include_str!("../fixtures/aider_edit.jsonl");
    for length in 0..whole.lines().count() {
        let cut: String = whole.lines().take(length).map(|line| format!("{line}\n")).collect();
        for code in [0, 1] {
            assert_ne!(ending(&cut, code).0, Ending::Finished, "{length} lines");
        }
    }
    assert_eq!(ending(whole, 1).0, Ending::Crashed("exit code 1".to_owned()));
}

#[test]
fn the_model_s_words_lose_its_edits_and_nothing_else() {
    let edit = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE";
    let text =
        format!("First.\n\nsrc/a.rs\n```rust\n{edit}\n```\n\nThen:\n\n```sh\nls\n```\nDone.");
    assert_eq!(without_edits(&text), "First.\n\n\nThen:\n\n```sh\nls\n```\nDone.");
    assert_eq!(without_edits(&format!("```\n{edit}\n```")), "");
    assert_eq!(without_edits(&format!("a.rs\n```\n{edit}")), "", "cut off within an edit");
    assert_eq!(without_edits("```\nopen"), "```\nopen");
}

#[test]
fn the_prompt_is_a_file_and_the_key_a_variable() {
    let prompt = Path::new("/job/prompt.md");
    let turn = Turn { session: None, home: Path::new("/h"), prompt_file: Some(prompt) };
    let arguments = cli().arguments(&turn);
    let at = arguments.iter().position(|argument| argument == "--message-file").unwrap();
    assert_eq!(arguments[at + 1], "/job/prompt.md");
    assert_eq!(arguments[0], "/h/launch.py");
    assert!(!arguments.contains(&"--restore-chat-history".into()));
    assert!(arguments.iter().all(|argument| argument != "sk-the-key"));
    let resumed = cli().arguments(&Turn { session: Some("chat.md"), ..turn });
    assert!(resumed.contains(&"--restore-chat-history".into()));
    let environment = cli().environment(Path::new("/h"));
    assert!(environment.contains(&("OPENAI_API_KEY".into(), "sk-the-key".into())));
    assert!(environment.contains(&("OPENAI_API_BASE".into(), "http://127.0.0.1:5099/v1".into())));
}
