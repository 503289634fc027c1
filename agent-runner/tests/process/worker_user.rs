//! The worker as a user of its own: what it becomes, what it can see, and what is taken back after it.
//! What root alone can do is not tried without it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use api_client::contract::AgentExit;
use nix::unistd::geteuid;

use crate::job::{Job, TOKEN};
use crate::turn::{NOTHING, folder, start_by};

/// A user that nothing else here is.
const UID: &str = "12345";

/// Runs a script as that user.
fn become_and(privileges: &str, script: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_agent-runner"))
        .args(["become", "--uid", UID, "--gid", UID, "--group", "64321"])
        .args(["--privileges", privileges, "--", "/bin/sh", "-c", script])
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn who_became_the_worker_has_no_way_back() {
    if !geteuid().is_root() {
        let refused = become_and("fixed", "true");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot become user 12345"));
        return;
    }
    let script = "id -u; id -G; sed -n 's/^NoNewPrivs:\\t//p; s/^CapEff:\\t//p' /proc/self/status; \
        echo open > /dev/stderr";
    let fixed = become_and("fixed", script);
    assert_eq!(stdout(&fixed), "12345\n12345 64321\n0000000000000000\n1\n");
    assert_eq!(fixed.stderr, b"open\n", "its own pipes can be opened by name");
    let gainable = become_and("gainable", script);
    assert_eq!(stdout(&gainable), "12345\n12345 64321\n0000000000000000\n0\n");
}

#[test]
fn nobody_else_can_look_into_a_run() {
    if !geteuid().is_root() {
        return;
    }
    let mut job = Job::start("exec /bin/sleep 1000", None);
    job.first_line();
    let pid = job.process.id();
    let script = format!(
        "cat /proc/{pid}/environ; ls /proc/{pid}/fd; head -c 1 /proc/{pid}/mem; cat /proc/{pid}/maps; \
         kill -0 {pid} && echo may be signalled"
    );
    let look = become_and("fixed", &script);
    assert_eq!(stdout(&look), "", "{look:?}");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert!(core.split_whitespace().filter(|word| *word == "0").count() == 2, "{core}");
    job.signal(nix::sys::signal::Signal::SIGTERM);
    job.end();
}

/// What pid 1 of a container does.
const IS_THE_RUNNER: &str = "exec \"$@\"";
/// As with `docker run --init`.
const STARTS_THE_RUNNER: &str = "\"$@\"; exit $?";

/// `agent-runner` in a container of its own, as far as that can be had without an engine: with a
/// process table, and a user `agent`. None where that is not allowed.
fn contained(folder: &Path, first: &str) -> Option<Command> {
    let enter = &format!(
        "mount --bind $0/passwd /etc/passwd && mount -t proc proc /proc && {{ {first}; }}"
    );
    let unshare = |program: &str| {
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["--mount", "--pid", "--fork", "/bin/sh", "-c", enter]);
        command.arg(folder).arg(program);
        command
    };
    let users = "root:x:0:0::/root:/bin/sh\nagent:x:12345:12345::/nonexistent:/bin/sh\n";
    fs::write(folder.join("passwd"), users).unwrap();
    // The worker comes through here to what is its own.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).unwrap();
    let possible = geteuid().is_root() && unshare("true").status().is_ok_and(|s| s.success());
    possible.then(|| unshare(env!("CARGO_BIN_EXE_agent-runner")))
}

#[test]
fn in_a_container_the_worker_is_a_user_of_its_own_and_its_work_is_published() {
    let folder = folder();
    let Some(program) = contained(folder.path(), IS_THE_RUNNER) else { return };
    // What it saw goes to its answer; its files are new, a link that leads out, and a commit.
    let claude = r#"
        [ "$1" = --version ] && exit 0
        seen() { echo "$1: $(sh -c "$2" 2>&1 | head -n 1)" >> "$TMPDIR/seen"; }
        seen user 'id -u; '
        seen tree 'stat -c %u .'
        seen home 'cd ~ && stat -c "%u %a" .'
        seen folder 'ls ..'
        seen runner 'cat /proc/1/environ'
        seen memory 'head -c 1 /proc/1/mem'
        seen push '/usr/bin/git push http://forge.example/acme/demo HEAD:main'
        echo new > new; ln -s /etc/passwd link
        /usr/bin/git add new && /usr/bin/git commit -qm own
        # It has shaken off its mark, its session and its parent.
        /usr/bin/env -i /usr/bin/setsid /bin/sh -c '/bin/sleep 1000 &'
        while read -r line; do echo '{"type":"assistant","message":{"content":[{"type":"text","text":"'"$line"'"}]}}'; done < "$TMPDIR/seen""#;
    let mut job = start_by(program, folder, claude, NOTHING, None);
    let (code, stderr) = job.end();
    // There is no forge that would open a pull request; the branch is there all the same.
    assert_eq!(code, Some(i32::from(AgentExit::PublishFailed.code())), "{stderr}");
    for said in [
        "user: 12345",
        "tree: 12345",
        "home: 12345 700",
        "folder: ls: cannot open directory '..': Permission denied",
        "runner: cat: /proc/1/environ: Permission denied",
        "memory: head: cannot open '/proc/1/mem' for reading: Permission denied",
        "push: git push is not for you: agent-runner pushes when you have finished; nothing was pushed",
    ] {
        assert!(stderr.contains(said), "{said:?} is not in\n{stderr}");
    }
    assert!(!stderr.contains(TOKEN), "{stderr}");
    let origin = job.folder.path().join("origin");
    let branch = "git for-each-ref --format='%(refname)' refs/heads/agent-\\*";
    let script =
        format!("b=$({branch}); git show --format= --name-only $b; git cat-file -p $b:link");
    let shown = Command::new("sh").args(["-c", &script]).current_dir(origin).output().unwrap();
    assert_eq!(stdout(&shown), "link\n/etc/passwd", "{shown:?}\n{stderr}");
    assert!(!stderr.contains("left behind"), "the turn ended all that was its own: {stderr}");
}

#[test]
fn the_worker_is_a_user_of_its_own_also_where_agent_runner_is_not_the_first_process() {
    let folder = folder();
    let Some(program) = contained(folder.path(), STARTS_THE_RUNNER) else { return };
    let claude = r#"
        user=$(/usr/bin/id -u)
        echo '{"type":"assistant","message":{"content":[{"type":"text","text":"'"user: $user"'"}]}}'"#;
    let mut job = start_by(program, folder, claude, NOTHING, None);
    let (_, stderr) = job.end();
    assert!(stderr.contains("user: 12345"), "{stderr}");
}

#[test]
fn the_repository_s_commands_run_as_the_worker_s_user_and_a_further_turn_goes_on_there() {
    let folder = folder();
    let project = "[setup]\ncommand = 'id -u > set-up'\n\
        [check]\ncommand = 'cat set-up; id -u > checked; test -f good'\n";
    crate::turn::commit(folder.path(), ".terarchitect.toml", project);
    let Some(program) = contained(folder.path(), IS_THE_RUNNER) else { return };
    let claude = "if [ -e new ]; then echo x > good; else echo new > new; fi";
    let mut job = start_by(program, folder, claude, NOTHING, None);
    let (code, stderr) = job.end();
    // There is no forge that would open a pull request; the branch is there all the same.
    assert_eq!(code, Some(i32::from(AgentExit::PublishFailed.code())), "{stderr}");
    assert!(stderr.contains("command: 12345"), "{stderr}");
    let script = "b=$(git for-each-ref --format='%(refname)' refs/heads/agent-\\*); \
        git ls-tree --name-only $b; git rev-list --count main..$b";
    let origin = job.folder.path().join("origin");
    let shown = Command::new("sh").args(["-c", script]).current_dir(origin).output().unwrap();
    assert_eq!(stdout(&shown), ".terarchitect.toml\nREADME\ngood\nnew\n2\n", "{shown:?}\n{stderr}");
}
