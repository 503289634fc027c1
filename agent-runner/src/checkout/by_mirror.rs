//! A clone that begins with what the cache has of the repository.
//!
//! Invariant: what comes of it is what a clone of the remote would be: the remote is asked for its
//! branches in the same run, every object is there and is what its name says. If any of that cannot be
//! shown, the remote is cloned as if there were no mirror.

use std::path::Path;

use api_client::error_chain;

use super::mirror::Seeds;
use super::{
    CONTINUED_DEPTH, CheckoutError, Cloned, FRESH_DEPTH, Mirror, Remote, Start, absolute,
    ask_again, clone_from, fetch_base, first_branch,
};
use crate::git::{BranchName, FetchInto, Git, GitError, NewClone, Source};
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
        Ok(None) => clone_from(git, source, into, branch, remote).await?,
        Err(error) if is_the_remotes_word(&error) => return Err(error),
        Err(error) => {
            tracing::warn!("the mirror is of no use, cloning without: {}", error_chain(&error));
            remove(into).await?;
            let cloned = clone_from(git, source, into, branch, remote).await?;
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
    let clone = NewClone::init(source, first_branch(remote), into).map_err(packs)?;
    let folder = into.join(".git/objects/pack");
    let Some(seeds) = mirror.seed(&folder).await.map_err(unusable)? else {
        remove(into).await?;
        return Ok(None);
    };
    tracing::info!(packs = seeds.packs.len(), "the clone begins with what the cache has");
    for pack in &seeds.packs {
        git.index_pack(into, pack).await?;
    }
    let cloned = match remote.start {
        Start::Fresh => {
            fetch_default(git, source, into, &clone, remote, &seeds).await?;
            let start_commit = clone.adopt(&remote.default).map_err(packs)?;
            clone.name_default(&remote.default).map_err(packs)?;
            clone.switch_to(branch, start_commit).map_err(packs)?;
            // Reads every object that a clone of one commit has.
            git.check_out_head(into).await?;
            Cloned { path: absolute(into)?, start_commit, base_commit: start_commit }
        }
        Start::Continued | Start::Rescued | Start::Reviewed => {
            clone.make_known(&seeds.tips).map_err(packs)?;
            fetch(git, source, into, &remote.continued, CONTINUED_DEPTH).await?;
            let start_commit = clone.adopt(&remote.continued).map_err(packs)?;
            clone.switch_to(branch, start_commit).map_err(packs)?;
            let base_commit = fetch_base(git, source, into, &remote.default).await?;
            clone.forget_known().map_err(packs)?;
            git.check_out_head(into).await?;
            git.is_whole(into).await?;
            Cloned { path: absolute(into)?, start_commit, base_commit }
        }
    };
    if !cloned.is(remote) && !cloned.is(&ask_again(git, source, branch, remote).await?) {
        return Err(CheckoutError::NotTheRemotes { url: source.url.to_string() });
    }
    Ok(Some(cloned))
}

/// Gets one commit of the default branch: from the remote, unless the packs have the very one that the
/// remote named.
async fn fetch_default(
    git: &Git,
    source: &Source,
    into: &Path,
    clone: &NewClone,
    remote: &Remote,
    seeds: &Seeds,
) -> Result<(), CheckoutError> {
    if let Some(commit) = remote.default_commit.filter(|commit| clone.has(*commit)) {
        return clone.take(&remote.default, commit).map_err(packs);
    }
    clone.make_known(&seeds.tips).map_err(packs)?;
    fetch(git, source, into, &remote.default, FRESH_DEPTH).await?;
    clone.forget_known().map_err(packs)
}

async fn fetch(
    git: &Git,
    source: &Source,
    into: &Path,
    branch: &BranchName,
    depth: u32,
) -> Result<(), CheckoutError> {
    let refspec = format!("+{}:refs/remotes/origin/{branch}", branch.to_ref());
    Ok(git.fetch(source, FetchInto::Clone(into), Some(depth), &[refspec]).await?)
}

const fn packs(source: git2::Error) -> CheckoutError {
    CheckoutError::Packs { source }
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
