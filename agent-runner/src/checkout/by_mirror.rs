//! A clone that begins with what the cache has of the repository.
//!
//! Invariant: what comes of it is what a clone of the remote would be: the remote is asked for its
//! branches in the same run, every object is there and is what its name says. If any of that cannot be
//! shown, the remote is cloned as if there were no mirror.

use std::path::Path;

use api_client::error_chain;

use super::mirror::Seeds;
use super::{
    CheckoutError, Cloned, Mirror, Remote, Start, Supply, ask_remote, clone_from, first_branch,
};
use crate::git::{self, BranchName, FetchInto, Git, GitError, Source};
use crate::removal::remove_folder;

/// Clones with what the mirror has, and keeps in it what is new.
pub(super) async fn clone(
    git: &Git,
    source: &Source,
    into: &Path,
    branch: &BranchName,
    remote: &Remote,
    mirror: &Mirror,
) -> Result<Cloned, CheckoutError> {
    let cloned = match seeded(git, source, into, branch, remote, mirror).await {
        Ok(Some(cloned)) => cloned,
        Ok(None) => clone_from(git, source, into, branch, remote, Supply::Remote).await?,
        Err(error) if is_the_remotes_word(&error) => return Err(error),
        Err(error) => {
            tracing::warn!("the mirror is of no use, cloning without: {}", error_chain(&error));
            remove(into).await?;
            let cloned = clone_from(git, source, into, branch, remote, Supply::Remote).await?;
            // The remote is well, so it is the mirror that is not.
            if let Err(error) = mirror.empty().await {
                tracing::warn!(%error, "the mirror could not be emptied");
            }
            cloned
        }
    };
    let tips = [cloned.start_commit, cloned.base_commit];
    if let Err(error) = mirror.keep(&cloned.packs(), &tips).await {
        tracing::warn!(%error, "the mirror could not be brought up to date");
    }
    Ok(cloned)
}

/// The clone by what the mirror has, if that is anything.
async fn seeded(
    git: &Git,
    source: &Source,
    into: &Path,
    branch: &BranchName,
    remote: &Remote,
    mirror: &Mirror,
) -> Result<Option<Cloned>, CheckoutError> {
    let unusable = |source| CheckoutError::Io {
        attempted: "copied into the clone",
        path: mirror.folder().to_owned(),
        source,
    };
    if mirror.is_empty() {
        return Ok(None);
    }
    git.init_clone(source, first_branch(remote), into).await?;
    let packs = into.join(".git/objects/pack");
    let Some(seeds) = mirror.seed(&packs).await.map_err(unusable)? else {
        remove(into).await?;
        return Ok(None);
    };
    tracing::info!(packs = seeds.packs.len(), "the clone begins with what the cache has");
    let supply = Supply::Packs(&seeds);
    let cloned = clone_from(git, source, into, branch, remote, supply).await?;
    let packs = |source| CheckoutError::Packs { source };
    git::forget_known(&cloned.path).map_err(packs)?;
    if remote.start == Start::Fresh {
        git::name_default(&cloned.path, &remote.default).map_err(packs)?;
    }
    git.is_whole(&cloned.path).await?;
    if !cloned.is(remote) && !cloned.is(&ask_remote(git, source, branch).await?) {
        return Err(CheckoutError::NotTheRemotes { url: source.url.to_string() });
    }
    Ok(Some(cloned))
}

/// The part of a clone that the remote would do: the objects, and the branch checked out.
pub(super) async fn fetch_first(
    git: &Git,
    source: &Source,
    branch: &BranchName,
    depth: u32,
    into: &Path,
    seeds: &Seeds,
) -> Result<(), CheckoutError> {
    for pack in &seeds.packs {
        git.index_pack(into, pack).await?;
    }
    git::make_known(into, &seeds.tips).map_err(|source| CheckoutError::Packs { source })?;
    let refspec = format!("+{}:refs/remotes/origin/{branch}", branch.to_ref());
    git.fetch(source, FetchInto::Clone(into), Some(depth), &[refspec]).await?;
    Ok(git.check_out_fetched(into, branch).await?)
}

/// Whether a clone without the mirror would fail in the same way.
const fn is_the_remotes_word(error: &CheckoutError) -> bool {
    matches!(
        error,
        CheckoutError::Git(
            GitError::Unauthorised { .. } | GitError::NotFound { .. } | GitError::Cancelled { .. }
        )
    )
}

async fn remove(folder: &Path) -> Result<(), CheckoutError> {
    remove_folder(folder).await.map_err(|source| CheckoutError::Io {
        attempted: "removed",
        path: folder.to_owned(),
        source,
    })
}
