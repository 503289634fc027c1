//! The folder of one job.

use std::io;
use std::path::Path;

use tempfile::TempDir;
use tokio::task::spawn_blocking;

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

    /// Removes it. If this future is dropped, the removal goes on for as long as the process lives.
    pub(super) async fn remove(mut self) {
        let Some(folder) = self.0.take() else { return };
        let removed = spawn_blocking(move || folder.close()).await;
        if let Err(error) = removed.map_err(io::Error::from).flatten() {
            tracing::warn!(%error, "the job's folder could not be removed");
        }
    }
}

impl Drop for JobFolder {
    fn drop(&mut self) {
        let folder = self.0.take();
        // Only a run that is cut short comes here with a folder.
        let _goes_on = folder.map(|folder| spawn_blocking(move || drop(folder)));
    }
}
