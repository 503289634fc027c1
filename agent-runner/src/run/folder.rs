//! The folder of one job.

use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::removal::{begin_to_remove, remove_folder};

/// Holds the work tree and the worker's own files. Removed at the end of its use, without holding up
/// the run: a tree can have a million files, and a cancelled run has seconds.
#[derive(Debug)]
pub(super) struct JobFolder(Option<TempDir>);

impl JobFolder {
    /// A new folder in the system's folder for temporary files.
    pub(super) fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("agent-job-").tempdir()?;
        Ok(Self(Some(folder)))
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
