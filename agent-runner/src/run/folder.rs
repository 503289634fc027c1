//! The folder of one job.

use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::removal::{begin_to_remove, remove_folder};

/// How its name begins.
const PREFIX: &str = "agent-job-";

/// Holds the work tree and the worker's own files. Removed at the end of its use, without holding up
/// the run: a tree can have a million files, and a cancelled run has seconds.
#[derive(Debug)]
pub(super) struct JobFolder(Option<TempDir>);

impl JobFolder {
    /// A new folder in the system's folder for temporary files.
    pub(super) fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        Ok(Self(Some(folder)))
    }

    /// One of this name, in the place of what a run left that was killed; else a new one.
    pub(super) async fn named(name: &str) -> io::Result<Self> {
        let name = format!("{PREFIX}{name}");
        let left = std::env::temp_dir().join(&name);
        let removed = match left.symlink_metadata() {
            Ok(_) => remove_folder(&left).await,
            Err(_) => Ok(()),
        };
        let made =
            removed.and_then(|()| tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir());
        match made {
            Ok(folder) => Ok(Self(Some(folder))),
            Err(error) => {
                tracing::warn!(%error, "the job's folder cannot have the name that it should");
                Self::new()
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// Removes it. If this future is dropped, the removal goes on for as long as the run lives.
    pub(super) async fn remove(mut self) {
        let Some(folder) = self.0.take() else { return };
        if let Err(error) = remove_folder(&folder.keep()).await {
            tracing::warn!(%error, "the job's folder could not be removed");
        }
    }
}

impl Drop for JobFolder {
    fn drop(&mut self) {
        // Only a run that is cut short comes here with a folder.
        let _goes_on = self.0.take().map(|folder| begin_to_remove(&folder.keep()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_has_the_name_that_it_is_given_also_where_a_killed_run_left_it() {
        let name = format!("test{:08x}", std::process::id());
        let killed = JobFolder::named(&name).await.unwrap();
        std::fs::write(killed.path().join("left"), "x").unwrap();
        let path = killed.path().to_owned();
        std::mem::forget(killed);
        let next = JobFolder::named(&name).await.unwrap();
        assert_eq!(next.path(), path);
        assert!(!path.join("left").exists());
        next.remove().await;
    }
}
