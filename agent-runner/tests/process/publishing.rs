//! From a worker's turn to the push, with the real git on a repository of this machine and a script
//! as `claude`.

use std::fs;
use std::path::Path;
use std::process::Command;

use api_client::contract::AgentExit;
use nix::sys::signal::Signal;

use crate::job::eventually;
use crate::turn::{NOTHING, folder, start, start_by};

#[test]
fn nothing_of_the_worker_runs_while_the_token_is_in_use() {
    // No mark in its environment, a session of its own, and a parent that is gone.
    let escaped = r#"/usr/bin/env -i /usr/bin/setsid /bin/sh -c "/bin/sh -c '
        trap \"\" TERM HUP INT; echo \$\$ > $HERE/escaped; while :; do /bin/sleep 1; done
        ' </dev/null >/dev/null 2>&1 &"
        while ! [ -s $HERE/escaped ]; do :; done
        echo new > new"#;
    let look = "grep -qa escaped /proc/$(cat $HERE/escaped)/cmdline && echo alive > $HERE/seen \
        || echo gone > $HERE/seen; echo 'fatal: no' >&2; exit 128";
    let mut job = start(escaped, look);
    assert_eq!(job.file("seen"), "gone\n");
    let (code, stderr) = job.end();
    assert_eq!(code, Some(i32::from(AgentExit::PublishFailed.code())), "{stderr}");
}

#[test]
fn a_worker_s_event_is_a_line_of_output_whatever_the_log_s_filter_is() {
    let event = r#"echo '{"type":"system","subtype":"init","session_id":"1"}'"#;
    for filter in ["info", "error", "off"] {
        let mut program = Command::new("env");
        program.args([&format!("LOG_LEVEL={filter}"), env!("CARGO_BIN_EXE_agent-runner")]);
        let mut job =
            start_by(program, folder(), &format!("{event}; exec sleep 1000"), NOTHING, None);
        job.logged("the coding CLI is at work");
        job.signal(Signal::SIGTERM);
        job.end();
    }
}

#[test]
fn a_pipe_in_the_work_tree_does_not_hold_a_cancelled_run() {
    // Libgit2 opens it for reading, which waits for a writer.
    let mut job = start("mkfifo .gitignore; echo $PPID > $HERE/inner", "");
    let inner = job.file("inner");
    let waits = |task: &Path| {
        fs::read_to_string(task.join("wchan"))
            .is_ok_and(|at| at.contains("fifo") || at.contains("wait_for_partner"))
    };
    eventually(|| {
        let tasks = fs::read_dir(format!("/proc/{}/task", inner.trim())).unwrap();
        tasks.flatten().any(|task| waits(&task.path())).then_some(())
    });
    job.signal(Signal::SIGTERM);
    let (code, stderr) = job.end();
    assert_eq!(code, Some(i32::from(AgentExit::Cancelled.code())), "{stderr}");
    assert!(stderr.contains("cancelled before anything was published"), "{stderr}");
}
