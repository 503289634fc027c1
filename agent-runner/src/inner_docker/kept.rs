//! What an engine has, kept for the project's next job: its images, and nothing that ran.
//!
//! Invariant: only a folder whose engine was emptied and ended in order carries our [`MARK`]; what is in
//! a folder without it is removed before an engine begins there. So a job that was killed costs its
//! project the images, and never brings it the containers, volumes or networks of another job. The
//! folder may be the worker's: nothing in it is followed or overwritten.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use nix::unistd::geteuid;

use super::client;
use crate::removal::remove_folder;

/// Says that what is in the folder can be used.
const MARK: &str = ".kept-in-order";

/// An engine's folder that outlives its container.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// Takes the folder up, before there is an engine or a worker: what was not left in order is
    /// removed.
    pub(super) async fn take_up(folder: PathBuf) -> io::Result<Self> {
        let kept = Self { folder };
        if kept.is_in_order() {
            tracing::info!("the inner Docker engine begins with the images of an earlier job");
            return Ok(kept);
        }
        // Seconds, where there are many layers.
        kept.empty().await?;
        Ok(kept)
    }

    /// An engine begins: until it has ended in order, nothing in the folder can be relied on. Not even
    /// after a loss of power.
    pub(super) fn begin(&self) -> io::Result<()> {
        match fs::remove_file(self.mark()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => fs::File::open(&self.folder)?.sync_all(),
        }
    }

    /// Has the running engine remove all but its images; whether it did.
    pub(super) async fn tidy(&self) -> bool {
        match client::run(client::REMOVE_ALL_BUT_IMAGES).await {
            Ok(()) => true,
            Err(problem) => {
                tracing::warn!(
                    "the inner Docker engine was not tidied, its images are not kept: {problem}"
                );
                false
            }
        }
    }

    /// The engine was tidied and has ended as it should.
    pub(super) fn end(&self) {
        let mark =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.mark());
        if let Err(error) = mark {
            tracing::warn!(%error, "the images of the inner Docker engine are not kept");
        }
    }

    fn mark(&self) -> PathBuf {
        self.folder.join(MARK)
    }

    /// A mark that is not ours says nothing.
    fn is_in_order(&self) -> bool {
        let mark = self.mark().symlink_metadata();
        mark.is_ok_and(|about| about.is_file() && about.uid() == geteuid().as_raw())
    }

    async fn empty(&self) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                remove_folder(&entry.path()).await?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::removal::testing::{deep_folder, on_a_small_stack};

    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn left_by_an_engine() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("containers/c1")).unwrap();
        fs::write(folder.path().join("containers/c1/config"), "x").unwrap();
        folder
    }

    #[tokio::test]
    async fn what_was_not_left_in_order_is_removed_and_no_link_in_it_followed() {
        let (folder, elsewhere) = (left_by_an_engine(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join("file"), "x").unwrap();
        symlink(elsewhere.path(), folder.path().join("overlay2")).unwrap();
        symlink(elsewhere.path(), folder.path().join("containers/out")).unwrap();
        Kept::take_up(folder.path().to_owned()).await.unwrap();
        assert!(names(&folder).is_empty(), "{:?}", names(&folder));
        assert_eq!(names(&elsewhere), ["file"]);
    }

    #[test]
    fn folders_as_deep_as_a_worker_likes_stop_no_later_job() {
        let folder = deep_folder();
        let path = folder.path().to_owned();
        on_a_small_stack(async move { drop(Kept::take_up(path).await.unwrap()) });
        assert!(names(&folder).is_empty());
    }

    #[tokio::test]
    async fn only_an_end_in_order_keeps_what_is_there() {
        let folder = left_by_an_engine();
        let take_up = async || Kept::take_up(folder.path().to_owned()).await.unwrap();
        let first = Kept { folder: folder.path().to_owned() };
        first.end();
        // A job that never uses its engine changes nothing.
        drop(take_up().await);
        let second = take_up().await;
        assert!(folder.path().join("containers/c1/config").exists());
        second.begin().unwrap();
        take_up().await;
        assert!(names(&folder).is_empty());
    }

    #[tokio::test]
    async fn a_mark_that_a_worker_made_is_neither_believed_nor_followed() {
        let (folder, elsewhere) = (left_by_an_engine(), tempfile::tempdir().unwrap());
        let theirs = elsewhere.path().join("theirs");
        fs::write(&theirs, "x").unwrap();
        symlink(&theirs, folder.path().join(MARK)).unwrap();
        let kept = Kept { folder: folder.path().to_owned() };
        kept.end();
        Kept::take_up(folder.path().to_owned()).await.unwrap();
        assert!(names(&folder).is_empty());
        assert_eq!(fs::read_to_string(theirs).unwrap(), "x");
    }
}
