//! A run with a script as `claude`, and the real git on a repository of this machine.

use std::process::Command;

use tempfile::TempDir;

use crate::job::{Job, REPO_URL, write_script};

/// The last event of a good turn.
const DONE: &str = r#"echo '{"type":"result","is_error":false,"result":"All done."}'"#;

/// A run without an app in which `claude` is a script, and `on_push` is run in the place of `git push`.
pub(crate) fn start(claude: &str, on_push: &str) -> Job {
    start_by(Command::new(env!("CARGO_BIN_EXE_agent-runner")), claude, on_push, None)
}

/// The same by another command, of the job that a document describes.
pub(crate) fn start_by(
    program: Command,
    claude: &str,
    on_push: &str,
    document: Option<&str>,
) -> Job {
    let folder = tempfile::tempdir().unwrap();
    make_origin(&folder);
    write_script(folder.path(), "claude", &format!("cat > /dev/null\n{claude}\n{DONE}"));
    let real = format!(
        "GIT_ALLOW_PROTOCOL=file /usr/bin/git -c url.$HERE/origin.insteadOf={REPO_URL} \"$@\""
    );
    let git = format!(
        "real() {{ {real}; }}\ncase \"$*\" in *' push '*)\n{on_push}\n;; esac\nreal \"$@\""
    );
    Job::start_by(program, folder, &git, document)
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
