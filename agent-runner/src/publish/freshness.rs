//! Whether the base has moved on since the work began, and what is done about it before the push.
//!
//! Invariants: a commit that undoes what landed on the base meanwhile is not made here and does not
//! pass [`reverted`]; what was published before is only ever built upon, never replaced.

use std::path::PathBuf;

use git2::{Index, MergeOptions, Oid, Repository, Sort};

use super::{Author, PublishError, on_thread};
use crate::checkout::{Checkout, Start};
use crate::git::{CommitId, FetchInto, Git};
use crate::project_file::BaseUpdate;

/// Where the newer base is kept in our git directory.
const BASE_NOW: &str = "refs/agent/base-now";
/// How much of a base that moved is fetched, in commits: more than lands while a run goes on.
const HISTORY_DEPTH: u32 = 100;
/// Most commits that are put on top of a newer base one by one.
const REBASE_MAX: usize = 200;

/// What became of bringing the work up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Updated {
    /// This commit has the newer base in it.
    Done(CommitId),
    /// These files were changed on both sides.
    Conflicts(Vec<PathBuf>),
    /// What both sides have in common is beyond the history that was fetched.
    Unrelated,
}

/// The commit that the base branch is at now, if it has moved. Nothing is fetched.
///
/// # Errors
/// When the remote does not say.
pub(crate) async fn moved_base(
    git: &Git,
    checkout: &Checkout,
) -> Result<Option<CommitId>, PublishError> {
    let base = checkout.base_branch();
    let remote = git.ls_remote(checkout.source(), &[&base.to_ref()]).await?;
    // A base that is gone is for the forge to judge.
    Ok(remote.commit_of(base).filter(|now| *now != checkout.base_commit()))
}

/// Fetches the base branch as it is now, with as much history as is needed to see what landed, but
/// never all that a clone left out; its commit.
///
/// # Errors
/// When the remote does not send it.
pub(crate) async fn fetch_base(git: &Git, checkout: &Checkout) -> Result<CommitId, PublishError> {
    let depth = checkout.is_clone().then_some(HISTORY_DEPTH);
    let into = FetchInto::Ours(checkout.shadow().path());
    let refspec = format!("+{}:{BASE_NOW}", checkout.base_branch().to_ref());
    git.fetch(checkout.source(), into, depth, &[refspec]).await?;
    checkout.shadow().keep_border()?;
    Ok(checkout.shadow().commit_of(BASE_NOW)?)
}

/// Whether all that a commit has beyond the start of this run is a plain line of commits by this author:
/// then nothing that landed on the base is among it, to be undone.
///
/// # Errors
/// When the commits cannot be read.
pub(crate) async fn is_all_ours(
    git: &Git,
    checkout: &Checkout,
    author: &Author,
    commit: CommitId,
) -> Result<bool, PublishError> {
    let (start, email) = (checkout.start_commit().oid(), author.email.clone());
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let mut walk = repository.revwalk()?;
        walk.push(commit.oid())?;
        walk.hide(start)?;
        for id in walk {
            let one = repository.find_commit(id?)?;
            if one.parent_count() != 1 || one.author().email_bytes() != email.as_bytes() {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}

/// The files in which a commit has among its ancestors what landed on the base since the branch left
/// it, and undoes it.
///
/// # Errors
/// When the commits cannot be read.
pub(crate) async fn reverted(
    git: &Git,
    checkout: &Checkout,
    commit: CommitId,
    base_now: CommitId,
) -> Result<Vec<PathBuf>, PublishError> {
    let (base, start) = (checkout.base_commit().oid(), checkout.start_commit().oid());
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let fork = repository.merge_base(start, base_now.oid()).unwrap_or(base);
        let common = match common(&repository, commit.oid(), base_now.oid()) {
            Some(common) if common != fork => common,
            // Nothing of it is among the ancestors: a merge keeps it.
            _ => return Ok(Vec::new()),
        };
        let tree = |id: Oid| repository.find_commit(id)?.tree();
        let (before, after) = (tree(fork)?, tree(base_now.oid())?);
        let (ours, common) = (tree(commit.oid())?, tree(common)?);
        let entry = |tree: &git2::Tree<'_>, path: &std::path::Path| {
            tree.get_path(path).ok().map(|entry| (entry.id(), entry.filemode()))
        };
        let landed = repository.diff_tree_to_tree(Some(&before), Some(&after), None)?;
        let paths = landed.deltas().filter_map(|delta| {
            let path = delta.new_file().path().or_else(|| delta.old_file().path())?.to_owned();
            let undone = entry(&common, &path) == entry(&after, &path)
                && entry(&ours, &path) == entry(&before, &path);
            undone.then_some(path)
        });
        Ok(paths.collect())
    })
    .await
}

/// Puts a commit and the newer base together as asked. Only commits that nobody has seen are put on
/// top of it; a branch that was published before is merged with it. The branch here stays where it is,
/// as the work tree does: who commits that after this takes nothing back.
///
/// # Errors
/// When the commits cannot be read or made.
pub(crate) async fn update(
    git: &Git,
    checkout: &Checkout,
    author: &Author,
    commit: CommitId,
    base_now: CommitId,
    how: BaseUpdate,
) -> Result<Updated, PublishError> {
    let start = (checkout.start() == Start::Fresh).then(|| checkout.start_commit());
    let message = format!("Merge {} into {}\n", checkout.base_branch(), checkout.branch());
    let author = author.clone();
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let updated = match (how, start) {
            (BaseUpdate::None, _) => return Ok(Updated::Done(commit)),
            (BaseUpdate::Rebase, Some(start)) => {
                match rebase(&repository, &author, start.oid(), commit.oid(), base_now.oid())? {
                    Some(updated) => updated,
                    None => merge(&repository, &author, &message, commit, base_now)?,
                }
            }
            (BaseUpdate::Rebase | BaseUpdate::Merge, _) => {
                merge(&repository, &author, &message, commit, base_now)?
            }
        };
        Ok(updated)
    })
    .await
}

/// The newest commit that both have. The history that was fetched may end before it.
fn common(repository: &Repository, ours: Oid, base_now: Oid) -> Option<Oid> {
    if repository.graph_descendant_of(ours, base_now).unwrap_or(false) {
        return Some(base_now);
    }
    repository.merge_base(ours, base_now).ok()
}

fn merge(
    repository: &Repository,
    author: &Author,
    message: &str,
    commit: CommitId,
    base_now: CommitId,
) -> Result<Updated, git2::Error> {
    let Some(common) = common(repository, commit.oid(), base_now.oid()) else {
        return Ok(Updated::Unrelated);
    };
    if common == base_now.oid() {
        return Ok(Updated::Done(commit));
    }
    let (ours, theirs) =
        (repository.find_commit(commit.oid())?, repository.find_commit(base_now.oid())?);
    let ancestor = repository.find_commit(common)?.tree()?;
    let options = MergeOptions::new();
    let (our_tree, their_tree) = (ours.tree()?, theirs.tree()?);
    let mut index = repository.merge_trees(&ancestor, &our_tree, &their_tree, Some(&options))?;
    if index.has_conflicts() {
        return Ok(Updated::Conflicts(conflicts(&index)?));
    }
    let tree = repository.find_tree(index.write_tree_to(repository)?)?;
    let by = author.signature()?;
    let merged = repository.commit(None, &by, &by, message, &tree, &[&ours, &theirs])?;
    Ok(Updated::Done(merged.into()))
}

/// Nothing where the commits are no plain line.
fn rebase(
    repository: &Repository,
    author: &Author,
    start: Oid,
    commit: Oid,
    base_now: Oid,
) -> Result<Option<Updated>, git2::Error> {
    if common(repository, commit, base_now) != Some(start) {
        return Ok(None);
    }
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
    walk.push(commit)?;
    walk.hide(start)?;
    let line = walk.take(REBASE_MAX + 1).collect::<Result<Vec<_>, _>>()?;
    let mut onto = repository.find_commit(base_now)?;
    if line.len() > REBASE_MAX {
        return Ok(None);
    }
    let by = author.signature()?;
    for id in line {
        let one = repository.find_commit(id)?;
        if one.parent_count() != 1 {
            return Ok(None);
        }
        let mut index = repository.cherrypick_commit(&one, &onto, 0, None)?;
        if index.has_conflicts() {
            return Ok(Some(Updated::Conflicts(conflicts(&index)?)));
        }
        let tree = repository.find_tree(index.write_tree_to(repository)?)?;
        let message = String::from_utf8_lossy(one.message_raw_bytes()).into_owned();
        let put = repository.commit(None, &one.author(), &by, &message, &tree, &[&onto])?;
        onto = repository.find_commit(put)?;
    }
    Ok(Some(Updated::Done(onto.id().into())))
}

fn conflicts(index: &Index) -> Result<Vec<PathBuf>, git2::Error> {
    let mut paths = Vec::new();
    for conflict in index.conflicts()? {
        let conflict = conflict?;
        let side = conflict.our.or(conflict.their).or(conflict.ancestor);
        let path = side.map(|entry| String::from_utf8_lossy(&entry.path).into_owned());
        paths.extend(path.map(PathBuf::from));
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

#[cfg(test)]
mod tests;
