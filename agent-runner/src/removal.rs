//! Removing what a worker may have filled.
//!
//! Invariant: however deep the folders are, this process survives it. The standard library goes one
//! call deeper for each level, and a worker that made enough of them would end the run after it was
//! delivered; so a program removes them that does not, and whose end would not be ours.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// The program by its place: in a folder of `PATH` there may be another one.
const PROGRAM: &str = "/bin/rm";

/// Removes a folder with all that is in it, if it is there, and follows no link. If this future is
/// dropped, the removal goes on.
///
/// # Errors
/// When something is left.
pub(crate) async fn remove_folder(folder: &Path) -> io::Result<()> {
    let status = tokio::process::Command::from(removal(folder)).status().await?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{PROGRAM} ended with {status}"))),
    }
}

/// Begins the same, and does not wait.
pub(crate) fn begin_to_remove(folder: &Path) -> io::Result<()> {
    removal(folder).spawn().map(drop)
}

fn removal(folder: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().args(["-rf", "--"]).arg(folder).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use nix::fcntl::{OFlag, open, openat};
    use nix::sys::stat::{Mode, mkdirat};

    use super::*;

    /// More levels than a thread's stack of 2 MiB has room for at 160 bytes each.
    const DEEP: usize = 15_000;

    #[tokio::test]
    async fn folders_as_deep_as_a_worker_likes_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut at: OwnedFd = open(folder.path(), flags, Mode::empty()).unwrap();
        for _ in 0..DEEP {
            mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
            at = openat(&at, "d", flags, Mode::empty()).unwrap();
        }
        remove_folder(folder.path()).await.unwrap();
        assert!(!folder.path().exists());
        remove_folder(folder.path()).await.unwrap();
    }
}
