//! The systemd scope of a keeper and its agent, as the kernel's control groups show it. Where there is
//! none, there is nothing to find.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getuid};

/// The slice of all scopes.
pub(crate) const SLICE: &str = "terarchitect-agents.slice";

/// Where systemd puts it: a name with a dash is below that of what is before the dash.
const SLICE_PATH: &str = "terarchitect.slice/terarchitect-agents.slice";

/// Where hierarchies of control groups are mounted: the only one, and those of version 1 and of both
/// side by side.
const HIERARCHIES: [&str; 4] = ["", "unified", "systemd", "memory"];

/// The name of the scope that belongs to a folder of notes, `…/<job>/<keeper>`.
pub(crate) fn unit_of(notes: &Path) -> String {
    let name = |path: Option<&Path>| {
        path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned())
    };
    let (job, keeper) = (name(notes.parent()), name(Some(notes)));
    format!("terarchitect-job-{}-{}", job.unwrap_or_default(), keeper.unwrap_or_default())
}

/// Kills every process of a scope but this one; none where there is no scope.
pub(crate) fn kill_scope(notes: &Path) {
    for process in processes(notes) {
        if process != getpid() {
            let _gone = kill(process, Signal::SIGKILL);
        }
    }
}

/// Whether the kernel ended a process of the scope for want of memory.
pub(super) fn ran_out_of_memory(notes: &Path) -> bool {
    ["memory.events", "memory.oom_control"]
        .into_iter()
        .any(|file| read(notes, file).is_some_and(|text| oom_kills(&text) > 0))
}

fn processes(notes: &Path) -> Vec<Pid> {
    let text = read(notes, "cgroup.procs").unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw).collect()
}

fn read(notes: &Path, file: &str) -> Option<String> {
    folders(&unit_of(notes)).find_map(|folder| fs::read_to_string(folder.join(file)).ok())
}

/// Where its control group can be: below the manager of the machine, or of a user.
fn folders(unit: &str) -> impl Iterator<Item = PathBuf> {
    let user = getuid();
    let of_user = format!("user.slice/user-{user}.slice/user@{user}.service");
    let scope = format!("{SLICE_PATH}/{unit}.scope");
    HIERARCHIES.into_iter().flat_map(move |hierarchy| {
        let root = Path::new("/sys/fs/cgroup").join(hierarchy);
        [root.join(&scope), root.join(&of_user).join(&scope)]
    })
}

/// The same name in both versions of control groups.
fn oom_kills(text: &str) -> u64 {
    let counted = |line: &str| line.strip_prefix("oom_kill ")?.trim().parse().ok();
    text.lines().find_map(counted).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_named_after_its_job_and_its_keeper() {
        assert_eq!(unit_of(Path::new("/state/host/j1/0badcafe")), "terarchitect-job-j1-0badcafe");
    }

    #[test]
    fn kills_for_want_of_memory_are_counted_in_both_versions() {
        assert_eq!(oom_kills("low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n"), 1);
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), 3);
        assert_eq!(oom_kills("oom_kill_disable 1\n"), 0);
    }

    #[test]
    fn nothing_is_found_of_a_scope_that_is_not_there() {
        let notes = Path::new("/state/host/none/none");
        assert!(processes(notes).is_empty() && !ran_out_of_memory(notes));
    }
}
