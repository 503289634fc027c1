//! A run with a script as `claude`, and the real git on a repository of this machine.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::job::{Job, REPO_URL, write_script};

/// The last event of a good turn.
const DONE: &str = r#"echo '{"type":"result","is_error":false,"result":"All done."}'"#;

/// No disturbance of git.
pub(crate) const NOTHING: (&str, &str) = ("push", "");

/// A run without an app in which `claude` is a script, and `on_push` is run in the place of `git push`.
pub(crate) fn start(claude: &str, on_push: &str) -> Job {
    let program = Command::new(env!("CARGO_BIN_EXE_agent-runner"));
    start_by(program, folder(), claude, ("push", on_push), None)
}

/// What the last turn of `claude` was asked.
pub(crate) fn prompt(job: &Job) -> String {
    std::fs::read_to_string(job.folder.path().join("prompt")).unwrap()
}

/// The same by another command, of the job that a document describes, in a folder with an origin;
/// `on_git` is a subcommand of git and the script that is run in its place. It finds the real thing
/// as `real "$@"`.
pub(crate) fn start_by(
    program: Command,
    folder: TempDir,
    claude: &str,
    on_git: (&str, &str),
    document: Option<&str>,
) -> Job {
    write_script(folder.path(), "claude", &format!("cat > $HERE/prompt\n{claude}\n{DONE}"));
    let (subcommand, instead) = on_git;
    let git = format!(
        "real() {{ GIT_ALLOW_PROTOCOL=file \
           /usr/bin/git -c url.$HERE/origin.insteadOf={REPO_URL} \"$@\"; }}\n\
         case \"$*\" in *' {subcommand} '*)\n{instead}\n;; esac\nreal \"$@\""
    );
    Job::start_by(program, folder, &git, document)
}

/// Commits a file to the default branch of the remote in that folder, as somebody else.
pub(crate) fn commit(folder: &Path, file: &str, text: &str) {
    let script = "git pull -q origin main && printf '%s' \"$1\" > \"$0\" && git add -A && \
        git -c user.name=P -c user.email=p@example.org commit -q -m others && git push -q origin main";
    let mut shell = Command::new("sh");
    let made = shell.args(["-c", script, file, text]).current_dir(folder.join("seed")).status();
    assert!(made.unwrap().success());
}

/// Runs a script in the clone in that folder.
pub(crate) fn in_seed(folder: &Path, script: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-ec", script]).current_dir(folder.join("seed"));
    for (name, value) in [("GIT_AUTHOR", "P"), ("GIT_COMMITTER", "P")] {
        shell.env(format!("{name}_NAME"), value).env(format!("{name}_EMAIL"), "p@example.org");
    }
    assert!(shell.status().unwrap().success());
}

/// A folder with a repository of one commit, `origin`, and a clone of it, `seed`.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = "git init -q --bare -b main origin && git clone -q origin seed 2>/dev/null && \
        cd seed && git checkout -q -b main && echo hello > README && git add README && \
        git -c user.name=P -c user.email=p@example.org commit -q -m first && \
        git push -q origin main";
    let made = Command::new("sh").args(["-c", script]).current_dir(folder.path()).status();
    assert!(made.unwrap().success());
    folder
}
