//! The process table, read from `/proc`: who descends from whom, and who carries a mark.
//!
//! Coding CLIs put the commands they run into other sessions and process groups, so that ending a
//! group leaves them alive. They are found here by parentage, and, once their parent is gone, by an
//! environment variable that only this turn's processes have. Where they run as another user, whose
//! environment a root without the capability to trace may not read, it is a group that they have.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, getpid};
use tokio::time::{Instant, sleep};

/// How long processes that were killed may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(3);
/// Pause between two looks at the table: these are not our children, so no event tells of their end.
const TABLE_PAUSE: Duration = Duration::from_millis(25);

/// Something else may run below the outer process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAlone {
    /// `/proc` cannot be read, or that process is gone.
    #[error("the process table in /proc does not show this process below process {root}")]
    Unknown {
        /// The outer process.
        root: Pid,
    },
    /// Processes that outlive SIGKILL.
    #[error("processes {left:?} could not be ended")]
    Left {
        /// Their ids.
        left: Vec<Pid>,
    },
}

/// The processes of this machine at one moment. Zombies are left out: they are dead.
#[derive(Debug, Default)]
pub(crate) struct ProcessTable {
    children: HashMap<Pid, Vec<Pid>>,
}

impl ProcessTable {
    /// Reads the table. Processes that vanish meanwhile are left out.
    pub(crate) fn read() -> Self {
        let mut table = Self::default();
        for (pid, parent) in pids().filter_map(|pid| Some((pid, live_parent(pid)?))) {
            table.children.entry(parent).or_default().push(pid);
        }
        table
    }

    /// Every process below `root`, itself not included.
    pub(crate) fn descendants(&self, root: Pid) -> Vec<Pid> {
        let mut found = Vec::new();
        let mut open = vec![root];
        while let Some(parent) = open.pop() {
            let children = self.children.get(&parent).map_or(&[][..], Vec::as_slice);
            found.extend_from_slice(children);
            open.extend_from_slice(children);
        }
        found
    }

    /// Every process that was started with this entry (`NAME=value`) in its environment.
    pub(crate) fn marked(&self, entry: &str) -> Vec<Pid> {
        let all = self.children.values().flatten().copied();
        all.filter(|pid| has_entry(*pid, entry)).collect()
    }

    /// Every process that is in this further group. Unlike its environment, anybody may see that.
    pub(crate) fn in_group(&self, group: Gid) -> Vec<Pid> {
        let is_in = |pid: &Pid| {
            fs::read_to_string(format!("/proc/{pid}/status"))
                .is_ok_and(|status| lists_group(&status, group))
        };
        self.children.values().flatten().copied().filter(is_in).collect()
    }
}

/// Kills every process below `root` but this one, until there is none: whatever mark, session or
/// parent a process has shaken off, it cannot leave the outer process, which is a subreaper.
///
/// # Errors
/// When something is left, or nobody can tell.
pub(crate) async fn end_all_below(root: Pid) -> Result<(), NotAlone> {
    let give_up = Instant::now() + KILL_LIMIT;
    loop {
        let mut left = ProcessTable::read().descendants(root);
        let count = left.len();
        left.retain(|pid| *pid != getpid());
        if left.len() == count {
            return Err(NotAlone::Unknown { root });
        }
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= give_up {
            return Err(NotAlone::Left { left });
        }
        tracing::warn!(processes = ?left, "ending what the worker left behind");
        signal_all(&left, Signal::SIGKILL);
        sleep(TABLE_PAUSE).await;
    }
}

/// Sends a signal to each; those that are gone already are no concern.
pub(crate) fn signal_all(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _gone_already = kill(*pid, signal);
    }
}

fn pids() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
}

fn live_parent(pid: Pid) -> Option<Pid> {
    parent_in_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The parent in a line `pid (name) state parent …`, unless the process is a zombie or dead. The
/// name may hold spaces, parentheses and any bytes.
fn parent_in_stat(stat: &[u8]) -> Option<Pid> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" | "x" => None,
        _ => fields.next()?.parse().ok().map(Pid::from_raw),
    }
}

/// Whether a line of `/proc/<pid>/status` lists this group.
fn lists_group(status: &str, group: Gid) -> bool {
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    let group = group.to_string();
    groups.split_ascii_whitespace().any(|one| one == group)
}

fn has_entry(pid: Pid, entry: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|one| one == entry.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_does_not_hide_its_parent() {
        let stat = b"42 (evil) Z 7 (\xff) S 17 42 42 0 -1";
        assert_eq!(parent_in_stat(stat), Some(Pid::from_raw(17)));
    }

    #[test]
    fn a_zombie_counts_as_gone() {
        assert_eq!(parent_in_stat(b"42 (sleep) Z 17 42 42"), None);
    }

    #[test]
    fn a_group_is_found_as_a_whole_number() {
        let status = "Name:\tsh\nGroups:\t1000 64321 \nGroupsX:\t1\n";
        assert!(lists_group(status, Gid::from_raw(64_321)));
        assert!(!lists_group(status, Gid::from_raw(4_321)));
        assert!(!lists_group("Name:\tsh\n", Gid::from_raw(1)));
    }

    #[test]
    fn this_process_is_below_its_parent() {
        let table = ProcessTable::read();
        let below = table.descendants(nix::unistd::getppid());
        assert!(below.contains(&getpid()));
    }
}
