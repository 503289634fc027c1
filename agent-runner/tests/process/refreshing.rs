//! A new token of the forge while the job runs.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use api_client::contract::env;

use crate::job::{TOKEN, eventually};
use crate::scene::{Plan, Scene};
use crate::servers::Answer;

/// Waits for the test; tries by itself to hand over a token before that.
const WORKER: &str = concat!(
    "echo '{\"GITHUB_TOKEN\":\"token-of-the-worker\"}' | ",
    env!("CARGO_BIN_EXE_agent-runner"),
    " refresh $HERE/run/refresh; echo $? > $HERE/refused\n",
    "until [ -e $HERE/go ]; do sleep 0.05; done; echo new > new"
);

fn refresh(socket: &Path, document: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-runner"));
    command.arg("refresh").arg(socket).env_clear().stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Standard input stays open, as that of a `docker exec` may.
    let input = child.stdin.as_mut().unwrap();
    writeln!(input, "{document}").unwrap();
    eventually(|| child.try_wait().unwrap());
    child.wait_with_output().unwrap()
}

#[test]
fn a_token_that_comes_while_the_job_runs_is_used_from_then_on_and_a_worker_cannot_bring_one() {
    let setting = (env::REFRESH_SOCKET, "$HERE/run/refresh");
    let plan = Plan { claude: WORKER, setting, ..Plan::default() };
    let mut scene = Scene::of(plan, |_, _| Answer::Usual);
    let here = scene.job.folder.path().to_owned();
    assert_eq!(scene.job.file("refused").trim(), "1");

    let socket = here.join("run/refresh");
    let done = refresh(&socket, r#"{"GITHUB_TOKEN":"second-token-of-the-forge"}"#);
    assert!(done.status.success(), "{done:?}");
    std::fs::write(here.join("go"), "").unwrap();

    let (code, stderr) = scene.job.end();
    assert_eq!(code, Some(0), "{stderr}");
    let forge: Vec<_> = scene.requests();
    let forge: Vec<_> =
        forge.iter().filter(|request| ["find", "open", "read"].contains(&request.what)).collect();
    assert!(!forge.is_empty());
    for request in forge {
        assert_eq!(request.authorization, "bearer second-token-of-the-forge", "{}", request.what);
    }
    assert!(!stderr.contains("second-token") && !stderr.contains(TOKEN), "{stderr}");
    assert!(!socket.exists());
}

#[test]
fn a_token_for_a_run_that_is_not_there_is_an_error_that_shows_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let done = refresh(&folder.path().join("refresh"), r#"{"GITHUB_TOKEN":"lost-token"}"#);
    assert_eq!(done.status.code(), Some(1));
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(stderr.contains("No such file") && !stderr.contains("lost-token"), "{stderr}");
}
