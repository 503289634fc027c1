//! The process table, read from `/proc`: who descends from whom, and who carries a mark.
//!
//! Coding CLIs put the commands they run into other sessions and process groups, so that ending a
//! group leaves them alive. They are found here by parentage, and, once their parent is gone, by an
//! environment variable that only this turn's processes have.

use std::collections::HashMap;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

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
    fn this_process_is_below_its_parent() {
        let table = ProcessTable::read();
        let below = table.descendants(nix::unistd::getppid());
        assert!(below.contains(&nix::unistd::getpid()));
    }
}
