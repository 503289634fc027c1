//! What the commits of a branch are.

use api_client::outcome::CommitFacts;
use git2::{Repository, Sort};

use super::{PublishError, on_thread};
use crate::checkout::{Checkout, Start};
use crate::git::{CommitId, Git};
use crate::inspect::{self, Inspected, Outgoing, Policy};

/// Most commits that are told of.
const COMMITS_MAX: usize = 100;

/// The commits that lead to this one beyond the base, as it was at the start and as it was fetched last,
/// newest first; at most a hundred.
///
/// # Errors
/// When they cannot be read.
pub(crate) async fn commits(
    git: &Git,
    checkout: &Checkout,
    commit: CommitId,
    base_now: CommitId,
) -> Result<Vec<CommitFacts>, PublishError> {
    let mut bases = vec![checkout.base_commit(), base_now];
    if checkout.start() == Start::Reviewed {
        // What people have there before is theirs.
        bases.push(checkout.start_commit());
    }
    on_thread(checkout.shadow(), git.cancel(), move |repository| walk(&repository, commit, &bases))
        .await
}

/// The message of a commit.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn message(
    git: &Git,
    checkout: &Checkout,
    commit: CommitId,
) -> Result<String, PublishError> {
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let commit = repository.find_commit(commit.oid())?;
        Ok(String::from_utf8_lossy(commit.message_bytes()).into_owned())
    })
    .await
}

/// Whether a commit is the one that the work began at, or in its history as far as that was fetched.
///
/// # Errors
/// When the history cannot be read.
pub(crate) async fn is_in_start(
    git: &Git,
    checkout: &Checkout,
    commit: CommitId,
) -> Result<bool, PublishError> {
    let start = checkout.start_commit();
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        let known = commit == start || repository.find_commit(commit.oid()).is_ok();
        Ok(known
            && (commit == start || repository.graph_descendant_of(start.oid(), commit.oid())?))
    })
    .await
}

/// What is to be said of commits before they are published.
///
/// # Errors
/// When they cannot be read.
pub(crate) async fn inspected(
    git: &Git,
    checkout: &Checkout,
    outgoing: Outgoing,
    policy: Policy,
) -> Result<Inspected, PublishError> {
    on_thread(checkout.shadow(), git.cancel(), move |repository| {
        inspect::inspect(&repository, &outgoing, &policy)
    })
    .await
}

fn walk(
    repository: &Repository,
    commit: CommitId,
    bases: &[CommitId],
) -> Result<Vec<CommitFacts>, git2::Error> {
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL)?;
    walk.push(commit.oid())?;
    bases.iter().try_for_each(|base| walk.hide(base.oid()))?;
    let mut commits = Vec::new();
    for id in walk.take(COMMITS_MAX) {
        // History beyond what was fetched has no end that could be seen.
        let Ok(id) = id else { break };
        let Ok(commit) = repository.find_commit(id) else { break };
        let subject = commit.summary_bytes().unwrap_or_default();
        let subject = String::from_utf8_lossy(subject).into_owned();
        commits.push(CommitFacts { id: id.to_string(), subject });
    }
    Ok(commits)
}
