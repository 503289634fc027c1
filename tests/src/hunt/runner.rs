//! Whether the runner's memory can get anywhere by itself: into a core dump, or to another process
//! of its user.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::scene::Scene;

/// The rights by which a process reads others: directly, as a profiler, and that which implies both.
const READING: &str = "-sys_ptrace,-perfmon,-sys_admin";

/// What is wrong with a runner, which is given by its folder in `/proc`.
pub(super) fn problems(scene: Scene, runner: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let limits = fs::read_to_string(runner.join("limits")).unwrap_or_default();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    if core.map(|core| core.split_whitespace().take(2).collect::<Vec<_>>()) != Some(vec!["0", "0"])
    {
        problems.push(format!("{} may dump core", runner.display()));
    }
    // Where the runner has those rights, no process without them may read it in any case.
    let has_rights = matches!(scene, Scene::Dind | Scene::DindCaps | Scene::Guarded | Scene::Host);
    if !has_rights && is_readable_to_its_user(runner) {
        problems.push(format!("{} can be read by its user", runner.display()));
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
