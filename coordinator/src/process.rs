//! Processes of this host that are not our children, or not any more. A number alone is not enough:
//! the kernel gives it to another process later.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::ledger::HostProcess;

impl HostProcess {
    /// The process that has this number now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let Stat { state, start_ticks, .. } = stat(pid)?;
        let running = !matches!(state, 'Z' | 'X');
        running.then(|| Self { pid, start_ticks, boot: boot.trim().to_owned() })
    }

    /// Whether it still runs.
    pub(crate) fn runs(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Signals it, if it still runs.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.runs() {
            let _gone = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Signals the group that it leads. The group can outlive its leader, whose number is not given
    /// to another process while it does; after another boot there is nothing to signal.
    pub(crate) fn signal_group(&self, signal: Signal) {
        let taken = Self::of(self.pid).is_some_and(|now| now != *self);
        let same_boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .is_ok_and(|boot| boot.trim() == self.boot);
        if same_boot && !taken {
            let _gone = killpg(Pid::from_raw(self.pid), signal);
        }
    }
}

/// The processes whose parent this is, ended ones that were not waited for among them.
pub(crate) fn children_of(parent: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent))
        .collect()
}

/// The child of a process that was started first. What a process takes in of its descendants came later.
pub(crate) fn first_child_of(parent: i32) -> Option<i32> {
    let started = |pid| Some((stat(pid)?.start_ticks, pid));
    children_of(parent).into_iter().filter_map(started).min().map(|(_, pid)| pid)
}

/// Of a process.
struct Stat {
    state: char,
    parent: i32,
    start_ticks: u64,
}

/// State, parent and start of a process: fields 3, 4 and 22 of `stat` (see `proc(5)`). The name,
/// field 2, may hold anything.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat { state, parent, start_ticks })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_number() {
        let me = HostProcess::of(std::process::id().cast_signed()).unwrap();
        assert!(me.runs());
        let earlier = HostProcess { start_ticks: me.start_ticks - 1, ..me.clone() };
        assert!(!earlier.runs());
        let before_the_boot = HostProcess { boot: "another".to_owned(), ..me };
        assert!(!before_the_boot.runs());
    }

    #[test]
    fn a_process_that_ended_does_not_run_even_before_it_was_waited_for() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = HostProcess::of(child.id().cast_signed()).unwrap();
        assert!(process.runs());
        child.kill().unwrap();
        while process.runs() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!process.runs());
    }

    #[test]
    fn the_first_child_is_told_from_those_that_came_later() {
        let script = "sleep 60 & echo $!; sleep 60 & echo $!; wait";
        let mut shell =
            Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        let children: Vec<i32> = lines.take(2).map(|line| line.unwrap().parse().unwrap()).collect();
        let parent = shell.id().cast_signed();
        let first = first_child_of(parent);
        for child in &children {
            kill(Pid::from_raw(*child), Signal::SIGKILL).unwrap();
        }
        shell.wait().unwrap();
        assert_eq!(first, Some(children[0]));
        assert_eq!(first_child_of(parent), None);
    }
}
