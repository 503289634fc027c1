//! Whether the runner's memory can get anywhere by itself: into a core dump, or to another process
//! of its user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::DockerMode;

const NAME: &str = "agent-runner";

/// The rights by which a process reads others: directly, as a profiler, and that which implies both.
const READING: &str = "-sys_ptrace,-perfmon,-sys_admin";

/// What is wrong with the runners beside this process, the first of their container.
pub(super) fn problems(mode: DockerMode, first: u32) -> Vec<String> {
    let namespace = |process: &Path| fs::read_link(process.join("ns/pid")).ok();
    let wanted = namespace(&PathBuf::from(format!("/proc/{first}")));
    let processes = fs::read_dir("/proc").expect("processes").flatten().map(|entry| entry.path());
    let name = |process: &Path| fs::read_to_string(process.join("comm")).unwrap_or_default();
    let runners: Vec<PathBuf> = processes
        .filter(|process| name(process).trim() == NAME && namespace(process) == wanted)
        .collect();
    assert!(!runners.is_empty(), "no {NAME} runs");
    runners.iter().flat_map(|runner| problems_of(mode, runner)).collect()
}

fn problems_of(mode: DockerMode, runner: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let limits = fs::read_to_string(runner.join("limits")).unwrap_or_default();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    if core.map(|core| core.split_whitespace().take(2).collect::<Vec<_>>()) != Some(vec!["0", "0"])
    {
        problems.push(format!("mode={mode} {} may dump core", runner.display()));
    }
    // Where the runner has those rights, no process without them may read it in any case.
    let has_rights = matches!(mode, DockerMode::Dind | DockerMode::DindCaps);
    if !has_rights && is_readable_to_its_user(runner) {
        problems.push(format!("mode={mode} {} can be read by its user", runner.display()));
    }
    problems
}

/// Whether a process of the same user that has no right over other processes may read this one.
fn is_readable_to_its_user(runner: &Path) -> bool {
    let status = Command::new("setpriv")
        .args(["--bounding-set", READING, "--inh-caps", READING, "cat"])
        .arg(runner.join("environ"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.expect("setpriv, of util-linux").success()
}
