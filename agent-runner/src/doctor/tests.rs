use std::path::Path;

use serde_json::{Value, json};

use super::examination::{Diagnosis, Health};
use super::report::Report;
use super::request::{Asked, Request, Wire};
use super::script::{self, Answer};
use super::surroundings::{DockerEngine, Surroundings};
use super::*;

fn answer(path: &str, body: &Value) -> Answer {
    script::answer(&Request::read(path, body).unwrap(), Path::new("/w"))
}

fn written(tool: &str, arguments: Value) -> Answer {
    Answer::Call { tool: tool.to_owned(), arguments }
}

fn done() -> Answer {
    Answer::Text(script::WORDS.to_owned())
}

#[test]
fn each_protocol_has_its_tool_called_once_and_words_then() {
    let properties = json!({"file_path": {}, "content": {}});
    let schema = json!({"properties": properties, "required": ["file_path"]});
    let expected = json!({"file_path": "/w/doctor.txt", "content": script::CONTENT});
    let chat = json!({"type": "function", "function": {"name": "write", "parameters": schema}});
    let anthropic = json!({"name": "Write", "input_schema": schema});
    let gemini =
        json!({"functionDeclarations": [{"name": "write_file", "parametersJsonSchema": schema}]});
    for (path, tool, name, asked, result) in [
        (
            "/v1/chat/completions",
            chat,
            "write",
            json!({"messages": [{"role": "user", "content": "x"}]}),
            json!({"messages": [{"role": "tool", "content": "ok"}]}),
        ),
        (
            "/v1/messages",
            anthropic,
            "Write",
            json!({"messages": [{"role": "user", "content": "x"}]}),
            json!({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}),
        ),
        (
            "/v1beta/models/m:streamGenerateContent",
            gemini,
            "write_file",
            json!({"contents": [{"parts": [{"text": "x"}]}]}),
            json!({"contents": [{"parts": [{"functionResponse": {}}]}]}),
        ),
    ] {
        let with = |mut body: Value| {
            body["tools"] = json!([tool]);
            body
        };
        assert_eq!(answer(path, &with(asked)), written(name, expected.clone()), "{path}");
        assert_eq!(answer(path, &with(result)), done(), "{path}");
    }
}

#[test]
fn codex_gets_a_patch_as_text_or_a_command() {
    let patch = json!([{"type": "custom", "name": "apply_patch"}]);
    let Answer::Call { tool, arguments: Value::String(text) } =
        answer("/v1/responses", &json!({"tools": patch, "input": []}))
    else {
        panic!("no call with text");
    };
    assert_eq!(tool, "apply_patch");
    assert!(
        text.contains("*** Add File: doctor.txt\n+The doctor was here.\n*** End Patch"),
        "{text}"
    );
    let schema = json!({"properties": {"cmd": {"type": "string"}}, "required": ["cmd"]});
    let shell = json!([{"type": "function", "name": "exec_command", "parameters": schema}]);
    let body = json!({"tools": shell, "input": [{"type": "message"}]});
    let command = "printf %s 'The doctor was here.\n' > doctor.txt";
    assert_eq!(answer("/v1/responses", &body), written("exec_command", json!({"cmd": command})));
    let body = json!({"tools": shell, "input": [{"type": "function_call_output"}]});
    assert_eq!(answer("/v1/responses", &body), done());
}

#[test]
fn a_cli_without_tools_gets_an_edit_as_text() {
    let Answer::Text(text) = answer("/v1/chat/completions", &json!({"messages": []})) else {
        panic!("no text");
    };
    assert!(text.contains(
        "doctor.txt\n```\n<<<<<<< SEARCH\n=======\nThe doctor was here.\n>>>>>>> REPLACE\n```"
    ));
}

#[test]
fn what_is_no_request_to_a_model_is_not_answered() {
    assert!(Request::read("/v1/embeddings", &json!({})).is_none());
    assert!(Request::read("/", &Value::Null).is_none());
    let body = json!({});
    let count = Request::read("/v1/messages/count_tokens", &body).unwrap();
    assert_eq!((count.wire, count.asked), (Wire::Anthropic, Asked::Count));
}

fn report(results: &[Health]) -> Report {
    let surroundings = Surroundings {
        git: Some("2.39.5".to_owned()),
        docker: None,
        docker_engine: DockerEngine::None,
        worker_uid: 1000,
    };
    let diagnosis = |result: &Health| Diagnosis {
        worker: "opencode",
        version: Some("1.2.3".to_owned()),
        start_millis: Some(1_234),
        total_millis: Some(2_005),
        calls: 2,
        result: *result,
        reason: (*result == Health::Fail).then(|| "it did nothing".to_owned()),
    };
    Report::new(surroundings, results.iter().map(diagnosis).collect())
}

#[test]
fn healthy_is_that_something_passes_and_nothing_fails() {
    use Health::{Fail, NotInstalled, Pass};
    assert!(report(&[Pass, NotInstalled]).healthy);
    assert!(!report(&[Pass, Fail]).healthy);
    assert!(!report(&[NotInstalled]).healthy);
}

#[test]
fn the_report_tells_people_and_programs_the_same() {
    let report = report(&[Health::Pass, Health::Fail]);
    let (mut text, mut json) = (Vec::new(), Vec::new());
    report.write_text(&mut text).unwrap();
    report.write_json(&mut json).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("opencode     1.2.3        1.23 s   2.00 s  pass\n"), "{text}");
    assert!(text.contains("  FAIL: it did nothing\n"), "{text}");
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["healthy"], false);
    assert_eq!(json["git"], "2.39.5");
    assert_eq!(json["workers"][1]["result"], "fail");
}

#[test]
fn the_options_survive_a_further_start() {
    let options = DoctorOptions { worker: Some(WorkerKind::Codex), json: true };
    assert_eq!(options.arguments(), ["--worker", "codex", "--json"]);
}
