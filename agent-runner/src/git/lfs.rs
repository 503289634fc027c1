//! The program git-lfs, which moves files in Git LFS between a folder of ours and the remote.
//!
//! Invariant: it runs in a git directory of ours that has neither refs nor a work tree, so that no
//! `.lfsconfig`, no attribute and no pointer is read but those that are given here; its only endpoint is
//! that of the repository.

use std::path::Path;

use git2::{FileMode, Repository, Signature};
use tokio::task::spawn_blocking;

use super::{Call, CommitId, Git, GitError, Operation, Source, shadow};
use crate::lfs::{ObjectId, Pointer};

/// How many objects one command is asked to send: their names are its arguments.
const SENT_AT_ONCE: usize = 1000;

/// Makes a git directory for [`Git::lfs_fetch`] and [`Git::lfs_push`], whose `lfs/objects` they use.
///
/// # Errors
/// When libgit2 cannot make it.
pub(crate) fn init_lfs(folder: &Path) -> Result<(), git2::Error> {
    shadow::init_bare(folder)
}

impl Git {
    /// Whether the program is installed.
    pub(crate) async fn has_lfs(&self) -> Result<bool, GitError> {
        let call = Call::new(Operation::Local("lfs version"), "this machine");
        match self.local(&call.args(["lfs", "version"])).await {
            Ok(_) => Ok(true),
            Err(GitError::Failed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gets the content of these pointers.
    pub(crate) async fn lfs_fetch(
        &self,
        source: &Source,
        git_dir: &Path,
        pointers: &[Pointer],
    ) -> Result<(), GitError> {
        let failed = |detail: String| GitError::Failed {
            operation: Operation::LfsFetch,
            on: source.url.to_string(),
            detail,
        };
        let (folder, pointers) = (git_dir.to_owned(), pointers.to_vec());
        let list = spawn_blocking(move || list(&folder, &pointers)).await;
        let list = list.map_err(|error| failed(error.to_string()))?;
        let list = list.map_err(|error| failed(error.message().to_owned()))?;
        let call = lfs(Operation::LfsFetch, source, git_dir)
            .args(["fetch", "origin"])
            .arg(list.to_string());
        let ended = self.network(source, &call).await?;
        call.checked(ended).map(drop)
    }

    /// Sends objects that are in the folder; those that the remote has are not sent again.
    pub(crate) async fn lfs_push(
        &self,
        source: &Source,
        git_dir: &Path,
        objects: &[ObjectId],
    ) -> Result<(), GitError> {
        for some in objects.chunks(SENT_AT_ONCE) {
            let call = lfs(Operation::LfsPush, source, git_dir)
                .args(["push", "--object-id", "origin"])
                .args(some.iter().map(ObjectId::to_string));
            let ended = self.network(source, &call).await?;
            call.checked(ended)?;
        }
        Ok(())
    }
}

/// The command with all that it needs to know.
fn lfs(operation: Operation, source: &Source, git_dir: &Path) -> Call<'static> {
    let setting = |name: &str, value: &str| ["-c".to_owned(), format!("{name}={value}")];
    Call::new(operation, &source.url)
        .env("GIT_DIR", git_dir)
        .args(setting("remote.origin.url", source.url.as_str()))
        .args(setting("lfs.url", &source.url.lfs_endpoint()))
        .args(setting("lfs.locksverify", "false"))
        .args(setting("lfs.basictransfersonly", "true"))
        .arg("lfs")
}

/// A commit whose files are these pointers and nothing else: the program fetches what a commit names.
fn list(git_dir: &Path, pointers: &[Pointer]) -> Result<CommitId, git2::Error> {
    let repository = Repository::open_bare(git_dir)?;
    let mut files = repository.treebuilder(None)?;
    let attributes = repository.blob(b"* filter=lfs\n")?;
    files.insert(".gitattributes", attributes, FileMode::Blob.into())?;
    for pointer in pointers {
        let blob = repository.blob(pointer.to_string().as_bytes())?;
        files.insert(pointer.id.to_string(), blob, FileMode::Blob.into())?;
    }
    let tree = repository.find_tree(files.write()?)?;
    let by = Signature::now("agent-runner", "agent-runner@localhost")?;
    repository.commit(None, &by, &by, "What is to be fetched", &tree, &[]).map(CommitId::from)
}
