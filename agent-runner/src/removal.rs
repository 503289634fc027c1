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
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::testing::{deep_folder, on_a_small_stack};
    use super::*;

    #[test]
    fn folders_as_deep_as_a_worker_likes_are_removed() {
        let folder = deep_folder();
        let path = folder.path().to_owned();
        on_a_small_stack(async move {
            remove_folder(&path).await.unwrap();
            assert!(!path.exists());
            remove_folder(&path).await.unwrap();
        });
    }
}
