//! The files in Git LFS of a checkout, where the project file asks for them.
//!
//! Invariant: they come from the repository's own endpoint alone, whatever `.lfsconfig` says, and the
//! files that they replace are those that git made for their pointers. Nobody has worked in the tree yet.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{ConfigLevel, FileMode, Index, Repository, RepositoryOpenFlags};
use tokio::task::spawn_blocking;

use super::{Checkout, CheckoutError};
use crate::git::Git;
use crate::lfs::{LfsStore, POINTER_MAX, Pointer, index_entry, is_in_lfs};

/// Most bytes that are fetched.
const BYTES_MAX: u64 = 4 << 30;
/// Most files.
const FILES_MAX: usize = 10_000;

/// What makes the worker's own git treat such files as ours does: content becomes a pointer when it is
/// added, and a pointer stays one when it is checked out, for the worker has no token to fetch it with.
const FILTER: [(&str, &str); 4] = [
    ("filter.lfs.clean", "git-lfs clean -- %f"),
    ("filter.lfs.smudge", "git-lfs smudge --skip -- %f"),
    ("filter.lfs.process", "git-lfs filter-process --skip"),
    ("filter.lfs.required", "true"),
];

/// The places of each content.
type Places = BTreeMap<Pointer, Vec<PathBuf>>;

/// Fetches the files in Git LFS and puts them in their places; how many there are. From here on files
/// that the attributes name are published as pointers.
///
/// # Errors
/// When the program is not there, there is too much, or a file cannot be had.
pub(crate) async fn fetch_lfs(git: &Git, checkout: &mut Checkout) -> Result<usize, CheckoutError> {
    if !git.has_lfs().await? {
        return Err(CheckoutError::NoLfs);
    }
    let (repository, start) = (checkout.shadow().open()?, checkout.start_commit().oid());
    let found = spawn_blocking(move || find(&repository, start)).await;
    let places = found.map_err(broken)?.map_err(|source| CheckoutError::LfsTree { source })?;
    let (count, bytes) = total(&places);
    if count > FILES_MAX || bytes > BYTES_MAX {
        return Err(CheckoutError::LfsTooMuch { count, mib: bytes >> 20 });
    }
    let there: BTreeSet<Pointer> = places.keys().cloned().collect();
    let store = LfsStore::create(checkout.shadow().path(), there).map_err(unusable)?;
    if count > 0 {
        let pointers: Vec<Pointer> = places.keys().cloned().collect();
        git.lfs_fetch(checkout.source(), store.git_dir(), &pointers).await?;
        let (store, tree) = (store.clone(), checkout.path().to_owned());
        let index = checkout.git_dir.join("index");
        let put = move || {
            put(&store, &tree, &places)?;
            let refreshed = refresh(&index, &tree, places.into_values().flatten());
            refreshed.map_err(|source| CheckoutError::LfsTree { source })
        };
        spawn_blocking(put).await.map_err(broken)??;
        // What came was hashed on its way, and need not be read again to see it unchanged.
        checkout.shadow().adopt_index(&checkout.git_dir.join("index"))?;
    }
    // A worktree has the configuration of its user's repository, which is not ours to write.
    if checkout.held.is_none() {
        tell_the_worker(&checkout.git_dir).map_err(|source| CheckoutError::LfsTree { source })?;
    }
    checkout.lfs = Some(store);
    Ok(count)
}

/// The pointers of a tree, in places that its attributes name.
fn find(repository: &Repository, commit: git2::Oid) -> Result<Places, git2::Error> {
    let (tree, odb) = (repository.find_commit(commit)?.tree()?, repository.odb()?);
    let mut places = Places::new();
    for delta in repository.diff_tree_to_tree(None, Some(&tree), None)?.deltas() {
        let file = delta.new_file();
        let regular = matches!(
            file.mode(),
            FileMode::Blob | FileMode::BlobExecutable | FileMode::BlobGroupWritable
        );
        if !regular || odb.read_header(file.id())?.0 >= POINTER_MAX {
            continue;
        }
        let pointer = Pointer::parse(repository.find_blob(file.id())?.content());
        if let (Some(pointer), Some(path)) = (pointer, file.path_bytes()) {
            let path = Path::new(OsStr::from_bytes(path));
            if is_in_lfs(repository, path)? {
                places.entry(pointer).or_default().push(path.to_owned());
            }
        }
    }
    Ok(places)
}

fn total(places: &Places) -> (usize, u64) {
    let count = places.values().map(Vec::len).sum();
    let sizes = places.iter().map(|(one, paths)| one.size.saturating_mul(paths.len() as u64));
    (count, sizes.fold(0, u64::saturating_add))
}

/// Puts what was fetched into its places. It is not kept twice: the remote has it.
fn put(store: &LfsStore, tree: &Path, places: &Places) -> Result<(), CheckoutError> {
    for (pointer, paths) in places {
        if !store.has(pointer) {
            let path = paths.first().cloned().unwrap_or_default();
            return Err(CheckoutError::LfsMissing { path });
        }
        let object = store.object(&pointer.id);
        for path in paths {
            put_one(store, &object, &tree.join(path)).map_err(unusable)?;
        }
        fs::remove_file(&object).map_err(unusable)?;
    }
    Ok(())
}

fn put_one(store: &LfsStore, object: &Path, place: &Path) -> io::Result<()> {
    let mode = place.symlink_metadata()?.permissions();
    let copy = tempfile::NamedTempFile::new_in(store.git_dir())?;
    fs::copy(object, copy.path())?;
    copy.as_file().set_permissions(mode)?;
    copy.persist(place).map(drop).map_err(|error| error.error)
}

/// Has the worker's own index know the files in their new length, as it would had git made them.
fn refresh(
    index: &Path,
    tree: &Path,
    paths: impl Iterator<Item = PathBuf>,
) -> Result<(), git2::Error> {
    let mut index = Index::open(index)?;
    for path in paths {
        let about = tree.join(&path).symlink_metadata();
        let about = about.map_err(|error| git2::Error::from_str(&error.to_string()))?;
        if let Some(known) = index.get_path(&path, 0) {
            index.add(&index_entry(&path, known.id, &about))?;
        }
    }
    index.write()
}

fn tell_the_worker(git_dir: &Path) -> Result<(), git2::Error> {
    let nowhere: [&Path; 0] = [];
    let repository = Repository::open_ext(git_dir, RepositoryOpenFlags::NO_SEARCH, nowhere)?;
    let mut config = repository.config()?.open_level(ConfigLevel::Local)?;
    FILTER.iter().try_for_each(|(name, value)| config.set_str(name, value))
}

fn broken(error: tokio::task::JoinError) -> CheckoutError {
    unusable(error.into())
}

fn unusable(source: io::Error) -> CheckoutError {
    CheckoutError::Lfs { source }
}

#[cfg(test)]
mod tests;
