//! `agent-runner doctor` with scripts as coding CLIs. `tests/run` has it examine the real ones.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::job::write_script;

/// Asks with curl what Claude Code would ask, and ends as that would.
const ASKS: &str = r#"
cat > /dev/null
ask() {
  curl -s "$ANTHROPIC_BASE_URL/v1/messages" -H "x-api-key: $ANTHROPIC_API_KEY" \
    -H "Authorization: Bearer $ANTHROPIC_AUTH_TOKEN" -H 'content-type: application/json' -d "$1"
}
"#;

const DONE: &str =
    r#"echo '{"type":"result","subtype":"success","is_error":false,"result":"All done."}'"#;

fn doctor(folder: &Path, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-runner"));
    command.arg("doctor").args(arguments).env_clear();
    // A proxy that is not there, and a secret that no worker may see.
    let hostile =
        [("HTTP_PROXY", "http://127.0.0.1:9"), ("GITHUB_TOKEN", "the-token-of-the-forge")];
    command
        .envs([("PATH", path.as_str()), ("HOME", "/nonexistent")])
        .envs(hostile)
        .output()
        .unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn claude(script: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("[ \"$1\" = --version ] && echo '9.8.7 (Script)' && exit 0\n{script}\n");
    write_script(folder.path(), "claude", &script);
    doctor(folder.path(), &["--json", "--worker", "claude-code"])
}

#[test]
fn a_cli_that_does_its_task_passes() {
    // The tool is named in one piece of the answer, its arguments are in another.
    let asks = r#"ask '{"model":"m","messages":[],"tools":[{"name":"Write","input_schema":{"properties":{"content":{}}}}]}' \
        | grep -q 'The doctor was here' || exit 4
      env | grep -q the-token && exit 5
      echo 'The doctor was here.' > doctor.txt"#;
    let output = claude(&format!("{ASKS}{asks}\n{DONE}"));
    let report = report(&output);
    assert!(output.status.success(), "{report}");
    let worker = &report["workers"][0];
    assert_eq!((&worker["result"], &worker["version"]), (&"pass".into(), &"9.8.7".into()));
    assert_eq!(worker["calls"], 1);
    assert!(worker["start_millis"].as_u64() <= worker["total_millis"].as_u64(), "{worker}");
    assert!(report["git"].is_string(), "{report}");
}

#[test]
fn a_cli_that_says_it_is_done_and_is_not_fails() {
    for (script, reason) in [
        (format!("cat > /dev/null\n{DONE}"), "never asked its model"),
        (
            format!("{ASKS}ask '{{\"model\":\"m\",\"messages\":[]}}' >&2\n{DONE}"),
            "did not write doctor.txt",
        ),
        ("cat > /dev/null\necho broken >&2; exit 3".to_owned(), "exit code 3: broken"),
    ] {
        let output = claude(&script);
        let report = report(&output);
        assert_eq!(output.status.code(), Some(1), "{report}");
        let worker = &report["workers"][0];
        assert_eq!(worker["result"], "fail");
        assert!(worker["reason"].as_str().is_some_and(|why| why.contains(reason)), "{worker}");
    }
}

#[test]
fn a_cli_that_is_not_there_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let output = doctor(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("not installed").count(), 5, "{text}");
}

#[test]
fn a_name_of_no_cli_is_refused_with_those_there_are() {
    let output = doctor(Path::new("/nonexistent"), &["--worker", "cursor"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("opencode, claude-code, codex, gemini, aider"), "{said}");
}
