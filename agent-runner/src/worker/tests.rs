//! What holds for every CLI, and for those to come.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use api_client::Secret;
use proptest::prelude::*;
use serde_json::json;

use super::adapter::Exit;
use super::event::Event;
use super::listener::Heard;
use super::process::{Finished, Next, Stop};
use super::*;
use crate::model_gateway::{Failing, Totals};
use crate::settings::{ChatModel, OwnModel, Provider};

const LIMITS: Limits = Limits { turn: Duration::from_secs(1), stall: Duration::from_secs(1) };

/// A whole turn of each, as it was recorded.
const RECORDED: [&str; 5] = [
    include_str!("fixtures/opencode_edit.jsonl"),
    include_str!("fixtures/claude_code_edit.jsonl"),
    include_str!("fixtures/codex_edit.jsonl"),
    include_str!("fixtures/gemini_edit.jsonl"),
    include_str!("fixtures/aider_edit.jsonl"),
];

fn adapters() -> [Box<dyn Adapter>; 5] {
    let endpoint = || "http://127.0.0.1:5099".parse().unwrap();
    let chat = || ChatModel { endpoint: endpoint(), model: "m".to_owned() };
    let own = || OwnModel { endpoint: endpoint(), model: Some("m".to_owned()) };
    let key = || Secret::from("sk-the-key");
    [
        Box::new(OpenCode::new(chat(), key())),
        Box::new(ClaudeCode::new(own(), key(), Provider::Other)),
        Box::new(Codex::new(own(), key())),
        Box::new(Gemini::new(own(), key())),
        Box::new(Aider::new(&chat(), key())),
    ]
}

fn exited(code: i32) -> Finished {
    let stop = Stop::Exited(ExitStatus::from_raw(code << 8));
    Finished { stop, stderr: String::new(), counts: Default::default() }
}

fn heard(adapter: &dyn Adapter, lines: &str) -> Listener {
    let mut listener = Listener::new(adapter.reader(), Memory::default(), Redaction::default());
    for line in lines.lines() {
        let _next = listener.hear(line);
    }
    listener
}

#[test]
fn every_cli_has_its_turn_told_whole() {
    for (adapter, recorded) in adapters().iter().zip(RECORDED) {
        let Heard { report, memory, raw } =
            heard(adapter.as_ref(), recorded).report(&exited(0), LIMITS);
        let program = adapter.program();
        assert_eq!(report.ending, Ending::Finished, "{program}");
        assert_eq!(report.unknown, 0, "{program}: {}", report.transcript);
        assert!(memory.session.is_some_and(|session| !session.is_empty()), "{program}");
        assert!(report.usage.output > 0 && report.usage.cached > 0, "{program}: {}", report.usage);
        assert!(!report.answer.is_empty() && report.question.is_none(), "{program}");
        assert_eq!(raw.lines().count(), recorded.lines().count(), "{program}");
    }
}

#[test]
fn a_cli_that_hangs_after_its_end_has_finished() {
    for (adapter, recorded) in adapters().iter().zip(RECORDED) {
        let finished = Finished { stop: Stop::HungAfterEnd, ..exited(0) };
        let Heard { report, .. } = heard(adapter.as_ref(), recorded).report(&finished, LIMITS);
        assert_eq!(report.ending, Ending::HungAfterEnd, "{}", adapter.program());
    }
}

#[test]
fn a_silent_exit_is_no_success_of_any_cli() {
    for adapter in adapters() {
        for code in [0, 1, 145] {
            let Heard { report, .. } = heard(adapter.as_ref(), "").report(&exited(code), LIMITS);
            assert!(!report.ending.is_finished(), "{}: {}", adapter.program(), report.ending);
        }
        let killed = Finished { stop: Stop::Exited(ExitStatus::from_raw(9)), ..exited(0) };
        let Heard { report, .. } = heard(adapter.as_ref(), "").report(&killed, LIMITS);
        assert_eq!(report.ending.name(), "killed", "{}", adapter.program());
    }
}

#[test]
fn a_cli_that_is_silent_because_its_model_gives_no_answer_is_told_as_such() {
    for (status, name) in [(Some(429), "rate_limited"), (None, "model_unavailable")] {
        for adapter in adapters() {
            let silent = Finished { stop: Stop::Stalled, ..exited(0) };
            let Heard { report, .. } = heard(adapter.as_ref(), "").report(&silent, LIMITS);
            let failing = Some(Failing { status, why: "nobody listens there".to_owned() });
            let reset = Some(Duration::from_secs(77));
            let calls = Totals { failing, retry_after: reset, ..Totals::default() };
            let ending = report.after(calls).ending;
            assert_eq!(ending.name(), name, "{ending}");
            assert_eq!(ending.to_string().contains("77 s"), status.is_some(), "{ending}");
        }
    }
}

#[test]
fn a_cli_that_waits_a_limit_out_without_a_word_has_reached_that_limit() {
    for adapter in adapters() {
        let left = Duration::from_secs(5_340);
        let shut_out = Finished { stop: Stop::ShutOut(left), ..exited(0) };
        let Heard { report, .. } = heard(adapter.as_ref(), "").report(&shut_out, LIMITS);
        let failing = Some(Failing { status: Some(429), why: "429".to_owned() });
        let retry_after = Some(Duration::from_secs(5_400));
        let ending = report.after(Totals { failing, retry_after, ..Totals::default() }).ending;
        let Ending::RateLimited { reset, .. } = ending else { panic!("{ending}") };
        assert_eq!(reset, Some(left), "what is left counts, not what it was");
    }
}

#[test]
fn no_cli_gets_a_secret_or_a_prompt_by_argument() {
    for adapter in adapters() {
        let turn = Turn {
            session: Some("session"),
            home: Path::new("/h"),
            prompt_file: Some(Path::new("/h/p")),
        };
        let arguments = format!("{:?}", adapter.arguments(&turn));
        assert!(!arguments.contains("sk-the-key"), "{}", adapter.program());
        let files = adapter.files();
        let leaks = files.iter().any(|(_, text)| text.contains("sk-the-key"));
        assert!(!leaks, "{}", adapter.program());
    }
}

#[test]
fn tokens_and_costs_of_earlier_turns_are_not_counted_again() {
    let codex = &adapters()[2];
    let first = heard(codex.as_ref(), RECORDED[2]);
    let Heard { report, memory, .. } = first.report(&exited(0), LIMITS);
    let mut second = Listener::new(codex.reader(), memory, Redaction::default());
    let usage = r#"{"input_tokens":2500,"cached_input_tokens":400,"output_tokens":107}"#;
    let _ended = second.hear(&format!(r#"{{"type":"turn.completed","usage":{usage}}}"#));
    let Heard { report: again, memory, .. } = second.report(&exited(0), LIMITS);
    assert_eq!((report.usage.input, report.usage.output), (1600, 100));
    assert_eq!((again.usage.input, again.usage.cached, again.usage.output), (500, 0, 7));
    assert!(memory.session.is_some(), "a later turn keeps the session that an earlier one named");
}

#[test]
fn lines_that_are_never_understood_come_to_an_end() {
    let codex = &adapters()[2];
    let mut listener = Listener::new(codex.reader(), Memory::default(), Redaction::default());
    let until = (0..10_000).position(|_| matches!(listener.hear("noise"), Next::Hopeless(_)));
    assert_eq!(until, Some(4_999));
    let Heard { report, raw, .. } = listener.report(&exited(0), LIMITS);
    assert_eq!(report.unknown, 5_000);
    assert_eq!(report.transcript.matches("[not understood] noise").count(), 5);
    assert!(raw.contains("noise\nnoise\n"));
}

#[test]
fn a_secret_that_comes_in_pieces_is_hidden_once_they_are_one_text() {
    let redaction = Redaction::default();
    redaction.register([&Secret::from("sk-the-key-of-this-run")]);
    let gemini = &adapters()[3];
    let mut listener = Listener::new(gemini.reader(), Memory::default(), redaction);
    for piece in ["It is sk-the-", "key-of-", "this-run."] {
        let line = json!({"type": "message", "role": "assistant", "content": piece, "delta": true});
        let _next = listener.hear(&line.to_string());
    }
    let _end = listener.hear(r#"{"type":"result","status":"success"}"#);
    let Heard { report, .. } = listener.report(&exited(0), LIMITS);
    assert_eq!(report.answer, "It is [redacted].");
    assert!(report.transcript.contains("It is [redacted]."), "{}", report.transcript);
}

#[test]
fn tools_that_never_work_are_broken() {
    let claude = &adapters()[1];
    let used = r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash"}]}}"#;
    let result = |text: &str| {
        format!(
            r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","is_error":true,"content":"{text}"}}]}}}}"#
        )
    };
    let end = RECORDED[1].lines().last().unwrap();
    let turn = |results: &[&str]| {
        let lines = results.iter().map(|text| format!("{used}\n{}\n", result(text)));
        let lines = lines.collect::<String>() + end;
        heard(claude.as_ref(), &lines).report(&exited(0), LIMITS).report.ending.name()
    };
    assert_eq!(turn(&["no sandbox", "no sandbox", "no sandbox"]), "tools_broken");
    assert_eq!(turn(&["no sandbox", "no sandbox"]), "finished");
    assert_eq!(turn(&["no sandbox", "no sandbox", "Exit code 1"]), "finished");
}

#[test]
fn a_turn_that_ends_with_a_question_and_changes_nothing_has_one() {
    let aider = &adapters()[4];
    let said = |text: &str| format!("{{\"type\":\"text\",\"text\":\"{text}\"}}\n");
    let changed = "{\"type\":\"output\",\"text\":\"Applied edit to a\"}\n";
    let end = "{\"type\":\"end\",\"code\":0}";
    let question =
        |lines: &str| heard(aider.as_ref(), lines).report(&exited(0), LIMITS).report.question;
    let asked = said("I looked.\\nWhich database is it?\\n");
    let expected = Some("Which database is it?".to_owned());
    assert_eq!(question(&format!("{asked}{end}")), expected);
    assert_eq!(question(&format!("{asked}{changed}{end}")), None);
    assert_eq!(question(&format!("{}{end}", said("Done. What a day."))), None);
}

/// A line of a CLI with a part of it replaced, cut out or repeated.
fn mangled() -> impl Strategy<Value = String> {
    let lines: Vec<&str> = RECORDED.iter().flat_map(|recorded| recorded.lines()).collect();
    let line = proptest::sample::select(lines);
    (line, any::<prop::sample::Index>(), any::<prop::sample::Index>(), ".{0,20}").prop_map(
        |(line, from, to, put)| {
            let characters: Vec<char> = line.chars().collect();
            let (a, b) = (from.index(characters.len()), to.index(characters.len()));
            let (from, to) = (a.min(b), a.max(b));
            let mut line: String = characters[..from].iter().collect();
            line.push_str(&put);
            line.extend(&characters[to..]);
            line
        },
    )
}

/// JSON of the names that CLIs use, with values of any kind.
fn forged() -> impl Strategy<Value = String> {
    let names = [
        "type", "item", "part", "message", "error", "usage", "status", "stats", "subtype",
        "content", "result", "text", "changes", "code", "tokens", "state", "is_error",
    ];
    let words = [
        "result",
        "error",
        "end",
        "turn.completed",
        "item.completed",
        "step_finish",
        "assistant",
        "success",
        "text",
        "message",
        "file_change",
        "tool_use",
        "",
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        proptest::sample::select(words.to_vec()).prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(3, 20, 4, move |inner| {
        let name = proptest::sample::select(names.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::btree_map(name, inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    value.prop_map(|value| value.to_string())
}

proptest! {
    #[test]
    fn no_line_is_too_strange_for_any_reader(
        lines in proptest::collection::vec(prop_oneof![mangled(), forged(), ".*"], 0..12),
        code in 0i32..256,
    ) {
        for adapter in adapters() {
            let mut reader = adapter.reader();
            for line in &lines {
                for event in reader.line(line) {
                    let _shown = (event.to_string(), event == Event::Unknown);
                }
            }
            let exit = Exit { status: Some(ExitStatus::from_raw(code << 8)), stderr: "" };
            let ending = reader.judge(&exit);
            prop_assert!(code == 0 || !ending.is_finished(), "{}: {ending}", adapter.program());
        }
    }
}
