//! Whether the kernel held the worker to a limit of its container: by the counters of the control
//! group that the container is.
//!
//! Exit codes and output of a CLI whose child was killed for want of memory say nothing about it.

use std::fmt;
use std::fs;
use std::path::Path;

/// Where control groups are mounted in a container, the container's own at the top.
const ROOT: &str = "/sys/fs/cgroup";

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Processes were ended for want of memory: so many.
    Memory(u64),
    /// Processes could not be started any more: so many.
    Processes(u64),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(count) => {
                write!(f, "the kernel ended {count} of its processes for want of memory")
            }
            Self::Processes(count) => {
                write!(f, "the kernel refused it another process {count} times")
            }
        }
    }
}

/// What the kernel has counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pressure {
    killed: u64,
    refused: u64,
}

impl Pressure {
    /// The counters as they are now; without control groups nothing is ever counted.
    pub(crate) fn now() -> Self {
        Self::under(Path::new(ROOT))
    }

    /// The limit that was reached since then; memory first, since a fork that was refused may be a
    /// mere consequence.
    pub(crate) fn limit_since(self, before: Self) -> Option<Limit> {
        let (killed, refused) = (
            self.killed.saturating_sub(before.killed),
            self.refused.saturating_sub(before.refused),
        );
        match (killed, refused) {
            (0, 0) => None,
            (0, refused) => Some(Limit::Processes(refused)),
            (killed, _) => Some(Limit::Memory(killed)),
        }
    }

    /// Both versions of control groups, whichever is there.
    fn under(root: &Path) -> Self {
        let count = |files: [&str; 2], key| {
            files.into_iter().find_map(|file| counter(&root.join(file), key)).unwrap_or(0)
        };
        Self {
            killed: count(["memory.events", "memory/memory.oom_control"], "oom_kill"),
            refused: count(["pids.events", "pids/pids.events"], "max"),
        }
    }
}

/// The number in a file of lines `key number`.
fn counter(file: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn both_versions_of_control_groups_are_read() {
        let first = group(&[
            ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
            ("pids/pids.events", "max 2\n"),
        ]);
        let second = group(&[
            ("memory.events", "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n"),
            ("pids.events", "max 2\n"),
        ]);
        let expected = Pressure { killed: 3, refused: 2 };
        for root in [first, second] {
            assert_eq!(Pressure::under(root.path()), expected);
        }
        assert_eq!(Pressure::under(Path::new("/no/such/folder")), Pressure::default());
    }

    #[test]
    fn a_limit_counts_only_when_it_was_reached_since() {
        let before = Pressure { killed: 1, refused: 5 };
        assert_eq!(before.limit_since(before), None);
        let refused = Pressure { refused: 6, ..before };
        assert_eq!(refused.limit_since(before), Some(Limit::Processes(1)));
        let both = Pressure { killed: 3, refused: 9 };
        assert_eq!(both.limit_since(before), Some(Limit::Memory(2)));
    }
}
