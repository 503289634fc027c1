//! A clone that begins with packs that are here already, so that the remote sends only what is new.
//!
//! Invariant: of such a pack nothing is believed. Its index is computed from its content, so that every
//! object in it is what its name says; and [`Git::is_whole`] shows afterwards that none is missing.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use git2::{Oid, Repository, RepositoryOpenFlags};

use super::{BranchName, Call, CommitId, Git, GitError, Operation, Source};

/// Where a clone has the commits that its packs brought, while it is made.
const KNOWN: &str = "refs/known/";

/// Most commits that are looked at to find where their history ends here.
const WALK_MAX: usize = 100_000;

impl Git {
    /// Makes a repository without a commit that is what a clone of one branch would be.
    pub(crate) async fn init_clone(
        &self,
        source: &Source,
        branch: &BranchName,
        into: &Path,
    ) -> Result<(), GitError> {
        let init = Call::new(Operation::Local("init"), into.display())
            .args(["init", "--quiet", "--initial-branch", branch.as_str(), "--"])
            .arg(into)
            .unset("GIT_DIR");
        self.local(&init).await?;
        let remote = Call::new(Operation::Local("remote"), into.display())
            .within(into)
            .args(["remote", "add", "--no-tags", "-t", branch.as_str(), "--", "origin"])
            .arg(source.url.as_str());
        self.local(&remote).await.map(drop)
    }

    /// Makes the index of a pack in the clone's own folder of packs, from its content.
    pub(crate) async fn index_pack(&self, clone: &Path, pack: &Path) -> Result<(), GitError> {
        let call = Call::new(Operation::Unpack, pack.display())
            .within(clone)
            .args(["index-pack", "--no-rev-index"])
            .arg(pack);
        self.local(&call).await.map(drop)
    }

    /// Checks out the branch of the remote that was fetched last, as a clone does.
    pub(crate) async fn check_out_fetched(
        &self,
        clone: &Path,
        branch: &BranchName,
    ) -> Result<(), GitError> {
        let call = Call::new(Operation::Local("checkout"), clone.display())
            .within(clone)
            .args(["checkout", "--quiet", "-b", branch.as_str(), "--track"])
            .arg(format!("refs/remotes/origin/{branch}"));
        self.local(&call).await.map(drop)
    }

    /// Makes sure that a clone has every object that its HEAD and its branches of the remote need.
    pub(crate) async fn is_whole(&self, clone: &Path) -> Result<(), GitError> {
        let call = Call::new(Operation::Local("rev-list"), clone.display()).within(clone).args([
            "rev-list",
            "--objects",
            "--quiet",
            "HEAD",
            "--remotes",
        ]);
        self.local(&call).await.map(drop)
    }
}

/// Makes those of these commits known to a clone that its packs have, with the end of their history,
/// so that a fetch tells the remote of them.
///
/// # Errors
/// When libgit2 or the file system says no.
pub(crate) fn make_known(clone: &Path, tips: &[CommitId]) -> Result<usize, git2::Error> {
    let repository = open(clone)?;
    let tips: Vec<Oid> = tips
        .iter()
        .map(|tip| tip.oid())
        .filter(|&tip| repository.find_commit(tip).is_ok())
        .collect();
    for tip in &tips {
        repository.reference(&format!("{KNOWN}{tip}"), *tip, true, "")?;
    }
    let border: String = border(&repository, &tips)?.iter().map(|id| format!("{id}\n")).collect();
    if !border.is_empty() {
        let shallow = repository.path().join("shallow");
        fs::write(shallow, border).map_err(|error| git2::Error::from_str(&error.to_string()))?;
    }
    Ok(tips.len())
}

/// Says in a clone which of the remote's branches is its default, as a clone of that branch does.
///
/// # Errors
/// When libgit2 says no.
pub(crate) fn name_default(clone: &Path, branch: &BranchName) -> Result<(), git2::Error> {
    let target = format!("refs/remotes/origin/{branch}");
    open(clone)?.reference_symbolic("refs/remotes/origin/HEAD", &target, true, "").map(drop)
}

/// Makes a clone forget them again.
///
/// # Errors
/// When libgit2 says no.
pub(crate) fn forget_known(clone: &Path) -> Result<(), git2::Error> {
    let repository = open(clone)?;
    for reference in repository.references_glob(&format!("{KNOWN}*"))? {
        reference?.delete()?;
    }
    Ok(())
}

/// The commits with a parent that is not here. The list that git keeps of them is not copied with the
/// packs: somebody could have written commits into it whose parents are here.
fn border(repository: &Repository, tips: &[Oid]) -> Result<Vec<Oid>, git2::Error> {
    let odb = repository.odb()?;
    let (mut seen, mut border) = (HashSet::new(), Vec::new());
    let mut next = tips.to_vec();
    while let Some(id) = next.pop() {
        if !seen.insert(id) {
            continue;
        }
        if seen.len() > WALK_MAX {
            return Err(git2::Error::from_str("the packs have more history than a clone of ours"));
        }
        let commit = repository.find_commit(id)?;
        if commit.parent_ids().all(|parent| odb.exists(parent)) {
            next.extend(commit.parent_ids());
        } else {
            border.push(id);
        }
    }
    Ok(border)
}

fn open(clone: &Path) -> Result<Repository, git2::Error> {
    let nowhere: [&Path; 0] = [];
    Repository::open_ext(clone, RepositoryOpenFlags::NO_SEARCH, nowhere)
}
