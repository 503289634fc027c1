//! What commands of the repository left in a work tree, which is no work of the agent's.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use git2::{Delta, Index, IndexEntry, IndexTime, Oid, Repository};
use serde::{Deserialize, Serialize};

use super::stage::Snapshot;
use super::{PublishError, on_thread};
use crate::checkout::Checkout;
use crate::git::Git;

/// Files that a command of the repository made, changed or removed by itself: they are no work of the
/// agent's, and are not committed unless it changed them further.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ByProducts {
    found: Vec<ByProduct>,
    /// Files that stay as they were when the work began, whoever changes them.
    kept_out: Vec<KeptOut>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptOut {
    path: Vec<u8>,
    at_start: Option<Content>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct ByProduct {
    path: Vec<u8>,
    before: Option<Content>,
    after: Option<Content>,
}

/// A file's content and mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    #[serde(with = "oid_text")]
    id: Oid,
    mode: u32,
}

impl Content {
    /// Of a file in a tree.
    pub(super) fn of(entry: &git2::TreeEntry<'_>) -> Self {
        Self { id: entry.id(), mode: entry.filemode_raw().cast_unsigned() }
    }

    /// Whether it is no link to another repository, whose objects are not here.
    const fn is_file(&self) -> bool {
        self.mode != 0o160_000
    }
}

impl ByProducts {
    /// Adds what differs between two states of the tree, before and after a command.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn add(
        &mut self,
        git: &Git,
        checkout: &Checkout,
        before: Snapshot,
        after: Snapshot,
    ) -> Result<(), PublishError> {
        if before == after {
            return Ok(());
        }
        let found = on_thread(checkout.shadow(), git.cancel(), move |repository| {
            differences(&repository, before, after)
        })
        .await?;
        tracing::info!(files = found.len(), "a command left files behind, which are not committed");
        self.found.extend(found);
        Ok(())
    }

    /// Keeps a file out of all commits: it is no work, whatever becomes of it.
    ///
    /// # Errors
    /// When the commit that the work began at cannot be read.
    pub(crate) async fn keep_out(
        &mut self,
        git: &Git,
        checkout: &Checkout,
        path: &Path,
    ) -> Result<(), PublishError> {
        let (start, file) = (checkout.start_commit().oid(), path.to_owned());
        let at_start = on_thread(checkout.shadow(), git.cancel(), move |repository| {
            Ok(content_in(&repository.find_commit(start)?.tree()?, &file))
        })
        .await?;
        self.kept_out.push(KeptOut { path: path.as_os_str().as_bytes().to_vec(), at_start });
        Ok(())
    }

    /// The files that would be there again if what the commands did were taken back.
    pub(super) fn contents_before(&self) -> Vec<Oid> {
        let before = self.found.iter().filter_map(|one| one.before);
        let at_start = self.kept_out.iter().filter_map(|one| one.at_start);
        before.chain(at_start).filter(Content::is_file).map(|content| content.id).collect()
    }

    /// Takes back in an index what is still as the commands left it, the last of them first. What is
    /// committed that way is the worker's work.
    pub(super) fn take_back(
        &self,
        index: &mut Index,
        committed: Option<&git2::Tree<'_>>,
    ) -> Result<(), git2::Error> {
        for one in &self.kept_out {
            let path = Path::new(std::ffi::OsStr::from_bytes(&one.path));
            match one.at_start {
                Some(content) => index.add(&entry(&one.path, content))?,
                None if index.get_path(path, 0).is_some() => index.remove(path, 0)?,
                None => {}
            }
        }
        for one in self.found.iter().rev() {
            let path = Path::new(std::ffi::OsStr::from_bytes(&one.path));
            let found = index.get_path(path, 0);
            let now = found.as_ref().map(|entry| Content { id: entry.id, mode: entry.mode });
            if now != one.after || committed.is_some_and(|tree| content_in(tree, path) == now) {
                continue;
            }
            match one.before {
                Some(content) => index.add(&entry(&one.path, content))?,
                None => index.remove(path, 0)?,
            }
        }
        Ok(())
    }
}

fn content_in(tree: &git2::Tree<'_>, path: &Path) -> Option<Content> {
    tree.get_path(path).ok().map(|entry| Content::of(&entry))
}

fn differences(
    repository: &Repository,
    before: Snapshot,
    after: Snapshot,
) -> Result<Vec<ByProduct>, git2::Error> {
    let (old, new) = (repository.find_tree(before.0)?, repository.find_tree(after.0)?);
    let diff = repository.diff_tree_to_tree(Some(&old), Some(&new), None)?;
    let by_product = |delta: git2::DiffDelta<'_>| {
        let content =
            |file: git2::DiffFile<'_>| Content { id: file.id(), mode: file.mode().into() };
        let (old, new) = (delta.old_file(), delta.new_file());
        let path = new.path_bytes().or_else(|| old.path_bytes()).unwrap_or_default().to_vec();
        let before = (delta.status() != Delta::Added).then(|| content(old));
        let after = (delta.status() != Delta::Deleted).then(|| content(new));
        ByProduct { path, before, after }
    };
    Ok(diff.deltas().map(by_product).collect())
}

/// A file for an index.
pub(super) fn entry(path: &[u8], content: Content) -> IndexEntry {
    let time = IndexTime::new(0, 0);
    IndexEntry {
        ctime: time,
        mtime: time,
        dev: 0,
        ino: 0,
        mode: content.mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id: content.id,
        flags: 0,
        flags_extended: 0,
        path: path.to_vec(),
    }
}

/// Object ids as text.
pub(super) mod oid_text {
    use git2::Oid;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(oid: &Oid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(oid)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Oid, D::Error> {
        Oid::from_str(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}
