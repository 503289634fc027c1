//! Files in Git LFS on their way out: their pointers in the commit, their content on the remote.
//!
//! Invariants: which files these are is told by the attributes of the work tree, for they are published
//! with it and every reader of the commit goes by them; a commit is not pushed before the content of its
//! pointers is on the remote.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use git2::{Index, Oid, Repository};
use tokio::task::spawn_blocking;

use super::{PublishError, on_thread};
use crate::checkout::Checkout;
use crate::git::Git;
use crate::inspect::{self, Outgoing};
use crate::lfs::{
    LfsStore, ObjectId, POINTER_MAX, Pointer, index_entry, is_in_lfs, open, pointer_to,
};

/// Brings one path of the index to the state of the work tree. A file whose content is what the pointer
/// in the index stands for keeps that; one that is a pointer itself stays as it is.
pub(super) fn stage(
    repository: &Repository,
    index: &mut Index,
    store: &LfsStore,
    path: &Path,
) -> Result<(), git2::Error> {
    let file = repository.workdir().map(|tree| tree.join(path)).unwrap_or_default();
    let about = match file.symlink_metadata() {
        Ok(about) if about.is_file() => about,
        Ok(about) if about.is_symlink() => return index.add_path(path),
        Ok(_) => return remove(index, path),
        Err(error) if is_absent(&error) => return remove(index, path),
        Err(error) => return Err(failed(path, &error)),
    };
    if is_pointer(&file).map_err(|error| failed(path, &error))? {
        return index.add_path(path);
    }
    let earlier = index.get_path(path, 0).map(|entry| entry.id);
    let known = earlier.and_then(|id| Some((id, pointer_of(repository, id)?)));
    let now = pointer_to(&file).map_err(|error| failed(path, &error))?;
    let id = match known {
        Some((id, known)) if known == now => id,
        _ => {
            let kept = store.add(&file).map_err(|error| failed(path, &error))?;
            repository.blob(kept.to_string().as_bytes())?
        }
    };
    index.add(&index_entry(path, id, &about))
}

/// Has the content at hand that outgoing commits name, and the remote did not have when the work began:
/// it is the work tree's, or the worker's own git has it, or somebody else has sent it to the remote.
///
/// # Errors
/// When there is content that nobody has.
pub(crate) async fn gather_lfs(
    git: &Git,
    checkout: &Checkout,
    outgoing: Outgoing,
) -> Result<(), PublishError> {
    let Some(store) = checkout.lfs() else { return Ok(()) };
    let mut missing = named(git, checkout, outgoing).await?;
    missing.retain(|pointer, _| !store.has(pointer) && !store.is_on_remote(&pointer.id));
    let theirs = checkout.workers_git_dir().to_owned();
    let (into, wanted) = (store.clone(), missing.clone());
    spawn_blocking(move || take_from(&theirs, &into, &wanted))
        .await
        .map_err(PublishError::Broken)??;
    missing.retain(|pointer, _| !store.has(pointer));
    let Some(path) = missing.values().next() else { return Ok(()) };
    let pointers: Vec<Pointer> = missing.keys().cloned().collect();
    if let Err(error) = git.lfs_fetch(checkout.source(), store.git_dir(), &pointers).await {
        tracing::warn!(%error, "the remote does not have what pointers of the worker's name");
        return Err(PublishError::LfsMissing { path: path.clone() });
    }
    match missing.iter().find(|(pointer, _)| !store.has(pointer)) {
        None => Ok(()),
        Some((_, path)) => Err(PublishError::LfsMissing { path: path.clone() }),
    }
}

/// Sends the content that outgoing commits name. The remote says whether it has it.
///
/// # Errors
/// When there is content that nobody has, or the remote does not take it.
pub(crate) async fn upload_lfs(
    git: &Git,
    checkout: &Checkout,
    outgoing: Outgoing,
) -> Result<(), PublishError> {
    let Some(store) = checkout.lfs() else { return Ok(()) };
    gather_lfs(git, checkout, outgoing).await?;
    let named = named(git, checkout, outgoing).await?;
    let ours: Vec<ObjectId> =
        named.into_keys().filter(|one| store.has(one)).map(|one| one.id).collect();
    if ours.is_empty() {
        return Ok(());
    }
    tracing::info!(objects = ours.len(), "sending files in Git LFS");
    Ok(git.lfs_push(checkout.source(), store.git_dir(), &ours).await?)
}

/// The pointers that outgoing commits have and their parents have not, each with one of its paths.
async fn named(
    git: &Git,
    checkout: &Checkout,
    outgoing: Outgoing,
) -> Result<BTreeMap<Pointer, PathBuf>, PublishError> {
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let mut named = BTreeMap::new();
        for (id, path) in inspect::new_files(&repository, &outgoing)? {
            if let Some(pointer) = pointer_of(&repository, id)
                && is_in_lfs(&repository, &path)?
            {
                named.insert(pointer, path);
            }
        }
        Ok(named)
    })
    .await
}

/// Takes from a git directory of the worker's what it has. What is not what it should be stays out of the
/// way: it lies under its own hash.
fn take_from(
    git_dir: &Path,
    store: &LfsStore,
    wanted: &BTreeMap<Pointer, PathBuf>,
) -> Result<(), PublishError> {
    let git_dir = git_dir.canonicalize();
    for (pointer, path) in wanted {
        let Ok(object) = git_dir.as_ref().map(|git_dir| git_dir.join(pointer.id.place())) else {
            continue;
        };
        // No link may lead to another's files.
        let there = object.canonicalize().is_ok_and(|real| real == object)
            && object.metadata().is_ok_and(|data| data.is_file() && data.len() == pointer.size);
        if there {
            let add = store.add(&object);
            add.map_err(|source| PublishError::Lfs { path: path.clone(), source })?;
        }
    }
    Ok(())
}

/// The pointer that a blob is.
fn pointer_of(repository: &Repository, id: Oid) -> Option<Pointer> {
    let (size, _) = repository.odb().ok()?.read_header(id).ok()?;
    let blob = (size < POINTER_MAX).then(|| repository.find_blob(id).ok()).flatten()?;
    Pointer::parse(blob.content())
}

fn is_pointer(file: &Path) -> io::Result<bool> {
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(open(file)?, POINTER_MAX as u64), &mut text)?;
    // An empty file is its own pointer, by the specification.
    Ok(text.is_empty() || Pointer::parse(&text).is_some())
}

fn remove(index: &mut Index, path: &Path) -> Result<(), git2::Error> {
    match index.get_path(path, 0) {
        Some(_) => index.remove_path(path),
        None => Ok(()),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn failed(path: &Path, error: &io::Error) -> git2::Error {
    git2::Error::from_str(&format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
