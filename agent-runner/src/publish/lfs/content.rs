//! The content that commits name in Git LFS: found, and sent before them.
//!
//! Invariant: a commit is not pushed before the content of its pointers is on the remote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use super::pointer_of;
use crate::checkout::Checkout;
use crate::git::Git;
use crate::inspect::{self, Outgoing};
use crate::lfs::{LfsStore, ObjectId, Pointer, is_in_lfs, open};
use crate::publish::{PublishError, on_thread};

/// Content, each with the files that are to have it.
type Contents = BTreeMap<Pointer, BTreeSet<PathBuf>>;

/// What outgoing commits name in Git LFS and the remote did not have when the work began.
#[derive(Debug, Default)]
pub(crate) struct LfsContent {
    /// Is here, to be sent.
    at_hand: Contents,
    /// Is not here.
    missing: Contents,
}

impl LfsContent {
    /// The files whose content is to be sent.
    pub(crate) fn files(&self) -> BTreeSet<PathBuf> {
        self.at_hand.values().flatten().cloned().collect()
    }

    /// The files whose content is not here.
    pub(crate) fn missing_files(&self) -> BTreeSet<PathBuf> {
        self.missing.values().flatten().cloned().collect()
    }
}

/// Where a pointer is.
#[derive(Debug, Default)]
struct Place {
    paths: BTreeSet<PathBuf>,
    /// Whether the attributes have one of the paths in Git LFS, so that a reader wants its content.
    in_lfs: bool,
}

/// The content that outgoing commits name and the remote did not have when the work began: it is the work
/// tree's, or the worker's own git has it. As git-lfs does it, every pointer counts, also one that an
/// earlier commit of the worker's has in a place that the attributes do not name any more; but only one
/// that they name can be missing.
///
/// # Errors
/// When the commits cannot be read.
pub(crate) async fn lfs_at_hand(
    git: &Git,
    checkout: &Checkout,
    outgoing: Outgoing,
) -> Result<LfsContent, PublishError> {
    let Some(store) = checkout.lfs() else { return Ok(LfsContent::default()) };
    let named = named(git, checkout, outgoing).await?;
    let unknown = |one: &&Pointer| !store.has(one) && !store.is_on_remote(one);
    let wanted: Vec<Pointer> = named.keys().filter(unknown).cloned().collect();
    let (theirs, into) = (checkout.shadow().common_dir().to_owned(), store.clone());
    let taken = spawn_blocking(move || take_from(&theirs, &into, &wanted)).await;
    taken.map_err(PublishError::Broken)?;
    let mut content = LfsContent::default();
    for (pointer, Place { paths, in_lfs }) in named {
        if store.has(&pointer) {
            content.at_hand.insert(pointer, paths);
        } else if in_lfs && !store.is_on_remote(&pointer) {
            content.missing.insert(pointer, paths);
        }
    }
    Ok(content)
}

/// The same, all of it: what is not at hand somebody else has sent to the remote meanwhile.
///
/// # Errors
/// When there is content that nobody has.
pub(crate) async fn gather_lfs(
    git: &Git,
    checkout: &Checkout,
    outgoing: Outgoing,
) -> Result<LfsContent, PublishError> {
    let mut content = lfs_at_hand(git, checkout, outgoing).await?;
    let Some(store) = checkout.lfs().filter(|_| !content.missing.is_empty()) else {
        return Ok(content);
    };
    let pointers: Vec<Pointer> = content.missing.keys().cloned().collect();
    let fetched = git.lfs_fetch(checkout.source(), store.git_dir(), &pointers).await;
    content.missing.retain(|pointer, _| !store.has(pointer));
    match content.missing_files().pop_first() {
        None => Ok(content),
        Some(path) => Err(PublishError::LfsMissing { path, source: fetched.err().map(Box::new) }),
    }
}

/// Sends content. The remote says whether it has it.
///
/// # Errors
/// When the remote does not take it.
pub(crate) async fn send_lfs(
    git: &Git,
    checkout: &Checkout,
    content: &LfsContent,
) -> Result<(), PublishError> {
    let Some(store) = checkout.lfs().filter(|_| !content.at_hand.is_empty()) else {
        return Ok(());
    };
    let objects: Vec<ObjectId> = content.at_hand.keys().map(|one| one.id.clone()).collect();
    tracing::info!(objects = objects.len(), "sending files in Git LFS");
    Ok(git.lfs_push(checkout.source(), store.git_dir(), &objects).await?)
}

/// The pointers that outgoing commits have and their parents have not.
async fn named(
    git: &Git,
    checkout: &Checkout,
    outgoing: Outgoing,
) -> Result<BTreeMap<Pointer, Place>, PublishError> {
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let mut named: BTreeMap<Pointer, Place> = BTreeMap::new();
        for (id, path) in inspect::new_files(&repository, &outgoing)? {
            if let Some(pointer) = pointer_of(&repository, id) {
                let place = named.entry(pointer).or_default();
                place.in_lfs |= is_in_lfs(&repository, &path)?;
                place.paths.insert(path);
            }
        }
        Ok(named)
    })
    .await
}

/// Takes from a git directory of the worker's what it has. What is not what it should be stays out of the
/// way: it lies under its own hash.
fn take_from(git_dir: &Path, store: &LfsStore, wanted: &[Pointer]) {
    let Ok(git_dir) = git_dir.canonicalize() else { return };
    for pointer in wanted {
        let object = git_dir.join(pointer.id.place());
        // No link may lead to another's files.
        let there = object.canonicalize().is_ok_and(|real| real == object)
            && object.metadata().is_ok_and(|data| data.is_file() && data.len() == pointer.size);
        if there && let Err(error) = open(&object).and_then(|file| store.add(file)) {
            tracing::warn!(%error, object = %pointer.id, "the worker's own content in Git LFS cannot be taken");
        }
    }
}
