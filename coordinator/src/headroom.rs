//! Whether there is room for what one more job may take of the engine's memory and disk. Pure, but
//! for the two questions to this host.

use std::fs;
use std::path::Path;

use nix::sys::statvfs::statvfs;

/// How much there is of something, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supply {
    /// Free now, beside what the running jobs have taken already.
    Free(u64),
    /// Altogether; how much of it is free is not known.
    Total(u64),
}

/// What a running job has of something, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// The most that it may take.
    pub(crate) limit: u64,
    /// What it has taken, as far as is known.
    pub(crate) taken: u64,
}

/// What is left for one more job when all that run take what they may.
pub(crate) fn left(supply: Supply, running: &[Share]) -> u64 {
    let promised = |share: &Share| match supply {
        Supply::Free(_) => share.limit.saturating_sub(share.taken),
        Supply::Total(_) => share.limit,
    };
    let promised = running.iter().map(promised).fold(0, u64::saturating_add);
    match supply {
        Supply::Free(bytes) | Supply::Total(bytes) => bytes.saturating_sub(promised),
    }
}

/// The memory of this host that programs can have without pushing others out; none where the kernel
/// does not tell.
pub(crate) fn memory_here() -> Option<Supply> {
    available(&fs::read_to_string("/proc/meminfo").ok()?).map(Supply::Free)
}

/// The space on the disk of a folder of this host.
pub(crate) fn disk_here(folder: &Path) -> Option<Supply> {
    let disk = statvfs(folder).ok()?;
    Some(Supply::Free(disk.blocks_available().saturating_mul(disk.fragment_size())))
}

/// How large the disk of a folder of this host is, in bytes.
pub(crate) fn whole_disk(folder: &Path) -> Option<u64> {
    let disk = statvfs(folder).ok()?;
    Some(disk.blocks().saturating_mul(disk.fragment_size()))
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn what_a_job_has_taken_already_is_not_counted_twice() {
        // 16 GiB, two jobs of 4: one has taken all of it, the other nothing yet.
        let running =
            [Share { limit: 4 * GIB, taken: 4 * GIB }, Share { limit: 4 * GIB, taken: 0 }];
        assert_eq!(left(Supply::Free(12 * GIB), &running), 8 * GIB);
    }

    #[test]
    fn where_only_the_total_is_known_every_limit_counts_in_full() {
        let running =
            [Share { limit: 4 * GIB, taken: 4 * GIB }, Share { limit: 4 * GIB, taken: 0 }];
        assert_eq!(left(Supply::Total(16 * GIB), &running), 8 * GIB);
    }

    #[test]
    fn the_kernels_words_for_free_memory_are_understood() {
        let text = "MemTotal:       24684632 kB\nMemAvailable:   20994048 kB\n";
        assert_eq!(available(text), Some(20_994_048 << 10));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        assert!(memory_here().is_some());
    }

    proptest! {
        #[test]
        fn another_running_job_never_leaves_more(
            free in any::<u64>(), limit in any::<u64>(), taken in any::<u64>(), total in any::<bool>(),
        ) {
            let supply = if total { Supply::Total(free) } else { Supply::Free(free) };
            let with_another = left(supply, &[Share { limit, taken }]);
            prop_assert!(with_another <= left(supply, &[]));
        }
    }
}
