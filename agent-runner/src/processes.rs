//! The process table, read from `/proc`: who descends from whom, and who carries a mark.
//!
//! Coding CLIs put the commands they run into other sessions and process groups, so that ending a
//! group leaves them alive. They are found here by parentage, and, once their parent is gone, by an
//! environment variable that only this turn's processes have. Where they run as another user, whose
//! environment a root without the capability to trace may not read, it is a group that they have.

use std::collections::HashMap;
use std::fs;
use std::iter::successors;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, getpid};
use tokio::time::{Instant, sleep};

/// How long processes that were killed may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(3);
/// Pause between two looks at the table: these are not our children, so no event tells of their end.
const TABLE_PAUSE: Duration = Duration::from_millis(25);

/// The number of threads is field 20 of `/proc/<pid>/stat`, the parent field 4.
const THREADS_AFTER_PARENT: usize = 20 - 4 - 1;

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

/// The processes of this machine at one moment. What is dead and not reaped yet is no more than a link
/// between others.
#[derive(Debug, Default)]
pub(crate) struct ProcessTable {
    all: HashMap<Pid, Process>,
}

/// What is known of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    parent: Pid,
    runs: bool,
}

impl ProcessTable {
    /// Reads the table. Processes that vanish meanwhile are left out.
    pub(crate) fn read() -> Self {
        Self { all: pids().filter_map(|pid| Some((pid, process(pid)?))).collect() }
    }

    /// Every process that runs below `root`, itself not included.
    pub(crate) fn descendants(&self, root: Pid) -> Vec<Pid> {
        self.running().filter(|pid| self.parents(*pid).any(|parent| parent == root)).collect()
    }

    /// Whether a process runs, and certainly not below `root`.
    pub(crate) fn runs_apart_from(&self, pid: Pid, root: Pid) -> bool {
        let whole = |last: Pid| last.as_raw() <= 1;
        self.running().any(|one| one == pid)
            && self.parents(pid).last().is_some_and(whole)
            && pid != root
            && !self.parents(pid).any(|parent| parent == root)
    }

    /// Every process that was started with this entry (`NAME=value`) in its environment.
    pub(crate) fn marked(&self, entry: &str) -> Vec<Pid> {
        self.running().filter(|pid| has_entry(*pid, entry)).collect()
    }

    /// Every process that is in this further group. Unlike its environment, anybody may see that.
    pub(crate) fn in_group(&self, group: Gid) -> Vec<Pid> {
        let is_in = |pid: &Pid| {
            fs::read_to_string(format!("/proc/{pid}/status"))
                .is_ok_and(|status| lists_group(&status, group))
        };
        self.running().filter(is_in).collect()
    }

    fn running(&self) -> impl Iterator<Item = Pid> {
        self.all.iter().filter(|(_, process)| process.runs).map(|(pid, _)| *pid)
    }

    /// From parent to parent. The table is read over a while, in which a number may be used again: a
    /// circle must not hold us.
    fn parents(&self, pid: Pid) -> impl Iterator<Item = Pid> {
        let parent_of = |pid: &Pid| self.all.get(pid).map(|process| process.parent);
        successors(parent_of(&pid), parent_of).take(self.all.len())
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

fn process(pid: Pid) -> Option<Process> {
    process_in_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The process in a line `pid (name) state parent …`. The name may hold spaces, parentheses and any
/// bytes. One whose first thread has ended is shown as a zombie, and goes on with its other threads.
fn process_in_stat(stat: &[u8]) -> Option<Process> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X" | "x");
    let parent = fields.next()?.parse().ok().map(Pid::from_raw)?;
    let runs = !ended || fields.nth(THREADS_AFTER_PARENT)?.parse::<u64>().ok()? > 1;
    Some(Process { parent, runs })
}

/// Whether a line of `/proc/<pid>/status` lists this group.
fn lists_group(status: &str, group: Gid) -> bool {
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    let group = group.to_string();
    groups.split_ascii_whitespace().any(|one| one == group)
}

/// A thread shows the environment of its process, once it has ended none.
fn has_entry(pid: Pid, entry: &str) -> bool {
    let has = |environ: &[u8]| environ.split(|byte| *byte == 0).any(|one| one == entry.as_bytes());
    let shows =
        |thread: fs::DirEntry| fs::read(thread.path().join("environ")).is_ok_and(|all| has(&all));
    match fs::read(format!("/proc/{pid}/environ")) {
        Ok(environ) if !environ.is_empty() => has(&environ),
        Ok(_) | Err(_) => {
            let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
            threads.flatten().any(shows)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_does_not_hide_its_parent() {
        let stat = b"42 (evil) Z 7 (\xff) S 17 42 42 0 -1";
        let expected = Process { parent: Pid::from_raw(17), runs: true };
        assert_eq!(process_in_stat(stat), Some(expected));
    }

    #[test]
    fn a_zombie_is_gone_unless_a_thread_of_it_is_left() {
        let runs = |threads: u8| {
            let stat =
                format!("42 (sleep) Z 17 42 42 0 -1 4 0 0 0 0 0 0 0 0 20 0 {threads} 0 99 0");
            process_in_stat(stat.as_bytes()).unwrap().runs
        };
        assert!(!runs(1));
        assert!(runs(2));
    }

    #[test]
    fn the_dead_link_those_below_them_to_those_above() {
        let process = |parent, runs| Process { parent: Pid::from_raw(parent), runs };
        let all = [(1, process(0, true)), (2, process(1, false)), (3, process(2, true))];
        let all = all.into_iter().chain([(5, process(4, true)), (6, process(1, true))]);
        let table = ProcessTable { all: all.map(|(pid, p)| (Pid::from_raw(pid), p)).collect() };
        assert_eq!(table.descendants(Pid::from_raw(2)), [Pid::from_raw(3)]);
        let apart = |pid| table.runs_apart_from(Pid::from_raw(pid), Pid::from_raw(2));
        assert!(apart(6));
        for doubtful in [2, 3, 5, 7] {
            assert!(!apart(doubtful), "{doubtful}");
        }
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
