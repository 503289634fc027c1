//! Folders within one another, more of them than can be removed one call deeper for each.

use std::os::fd::OwnedFd;
use std::thread;

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use tempfile::TempDir;

/// More levels than [`STACK`] has room for at 160 bytes each, and than a path may have.
const DEEP: usize = 2_500;

/// Size of a stack, in bytes: a full one of 2 MiB would take six times as many levels, and their making
/// takes the square of that.
const STACK: usize = 256 << 10;

/// A folder with so many in one another.
pub(crate) fn deep_folder() -> TempDir {
    // In memory: each level is an entry in the journal of a disk.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut at: OwnedFd = open(folder.path(), flags, Mode::empty()).unwrap();
    for _ in 0..DEEP {
        mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
        at = openat(&at, "d", flags, Mode::empty()).unwrap();
    }
    folder
}

/// Does this where no thread has a larger stack.
pub(crate) fn on_a_small_stack(work: impl Future<Output = ()> + Send + 'static) {
    let run = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().thread_stack_size(STACK).build().unwrap().block_on(work);
    };
    thread::Builder::new().stack_size(STACK).spawn(run).unwrap().join().unwrap();
}
