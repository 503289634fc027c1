//! From a worker's turn to the push, with the real git on a repository of this machine and a script
//! as `claude`.

use std::fs;
use std::path::Path;
use std::process::Command;

use api_client::contract::AgentExit;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::job::{Job, REPO_URL, eventually, write_script};

/// The last event of a good turn.
const DONE: &str = r#"echo '{"type":"result","is_error":false,"result":"All done."}'"#;

/// A run in which `claude` is a script, and `on_push` is run in the place of `git push`.
fn start(claude: &str, on_push: &str) -> Job {
    let folder = tempfile::tempdir().unwrap();
    make_origin(&folder);
    write_script(folder.path(), "claude", &format!("cat > /dev/null\n{claude}\n{DONE}"));
    let git = format!(
        "case \"$*\" in *' push '*)\n{on_push}\n;; esac\nexport GIT_ALLOW_PROTOCOL=file\n\
         exec /usr/bin/git -c url.$HERE/origin.insteadOf={REPO_URL} \"$@\""
    );
    let program = Command::new(env!("CARGO_BIN_EXE_agent-runner"));
    Job::start_by(program, folder, &git, None)
}

/// A repository with one commit, to be cloned from and pushed to.
fn make_origin(folder: &TempDir) {
    let script = "git init -q --bare -b main origin && git clone -q origin seed 2>/dev/null && \
        cd seed && git checkout -q -b main && echo hello > README && git add README && \
        git -c user.name=P -c user.email=p@example.org commit -q -m first && \
        git push -q origin main";
    let made = Command::new("sh").args(["-c", script]).current_dir(folder.path()).status();
    assert!(made.unwrap().success());
}

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
    let job = start(escaped, look);
    assert_eq!(job.file("seen"), "gone\n");
    let (code, stderr) = job.end();
    assert_eq!(code, Some(i32::from(AgentExit::PublishFailed.code())), "{stderr}");
}

#[test]
fn a_pipe_in_the_work_tree_does_not_hold_a_cancelled_run() {
    // Libgit2 opens it for reading, which waits for a writer.
    let job = start("mkfifo .gitignore; echo $PPID > $HERE/inner", "");
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

#[test]
fn a_run_that_is_cancelled_while_it_pushes_does_not_claim_that_nothing_was_published() {
    let job = start("echo new > new", "echo up > $HERE/pushing; exec sleep 1000");
    job.file("pushing");
    job.signal(Signal::SIGTERM);
    let (code, stderr) = job.end();
    assert_eq!(code, Some(i32::from(AgentExit::Cancelled.code())), "{stderr}");
    assert!(stderr.contains("may be on the remote"), "{stderr}");
}
