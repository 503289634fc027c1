//! A clone that begins with packs that are here already, so that the remote sends only what is new.
//!
//! Invariant: of such a pack nothing is believed. Its index is computed from its content, so that every
//! object in it is what its name says; and [`Git::is_whole`] shows afterwards that none is missing.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use git2::{ConfigLevel, Oid, Repository, RepositoryInitOptions};

use super::{BranchName, Call, CommitId, Git, GitError, Operation, Source};

/// Where a clone has the commits that its packs brought, while it is made.
const KNOWN: &str = "refs/known/";

/// Most commits that are looked at to find where their history ends here.
const WALK_MAX: usize = 100_000;

impl Git {
    /// Makes the index of a pack in the clone's own folder of packs, from its content.
    pub(crate) async fn index_pack(&self, clone: &Path, pack: &Path) -> Result<(), GitError> {
        let call = Call::new(Operation::Unpack, pack.display())
            .within(clone)
            .args(["index-pack", "--no-rev-index"])
            .arg(pack);
        self.local(&call).await.map(drop)
    }

    /// Fills the work tree of a clone that has none yet with the files of its HEAD: each of them is read.
    pub(crate) async fn check_out_head(&self, clone: &Path) -> Result<(), GitError> {
        let call = Call::new(Operation::Local("reset"), clone.display())
            .within(clone)
            .args(["reset", "--quiet", "--hard"]);
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

/// A clone that is made here.
pub(crate) struct NewClone {
    repository: Repository,
}

impl NewClone {
    /// Makes a repository without a commit, with the configuration that a clone of one branch has.
    pub(crate) fn init(
        source: &Source,
        branch: &BranchName,
        into: &Path,
    ) -> Result<Self, git2::Error> {
        let mut options = RepositoryInitOptions::new();
        options.external_template(false).initial_head(branch.as_str());
        let repository = Repository::init_opts(into, &options)?;
        let mut config = repository.config()?.open_level(ConfigLevel::Local)?;
        config.set_str("remote.origin.url", source.url.as_str())?;
        config.set_str("remote.origin.tagopt", "--no-tags")?;
        let refspec = format!("+refs/heads/{branch}:refs/remotes/origin/{branch}");
        config.set_str("remote.origin.fetch", &refspec)?;
        config.set_str(&format!("branch.{branch}.remote"), "origin")?;
        config.set_str(&format!("branch.{branch}.merge"), &branch.to_ref())?;
        Ok(Self { repository })
    }

    /// Whether it has a commit.
    pub(crate) fn has(&self, commit: CommitId) -> bool {
        self.repository.find_commit(commit.oid()).is_ok()
    }

    /// Makes the branch be where the remote has it, with no history before that.
    pub(crate) fn take(&self, branch: &BranchName, commit: CommitId) -> Result<(), git2::Error> {
        let name = format!("refs/remotes/origin/{branch}");
        self.repository.reference(&name, commit.oid(), true, "")?;
        self.write_shallow(&[commit.oid()])
    }

    /// The commit of the remote's branch, which becomes a branch here as well.
    pub(crate) fn adopt(&self, branch: &BranchName) -> Result<CommitId, git2::Error> {
        let name = format!("refs/remotes/origin/{branch}");
        let commit = self.repository.find_reference(&name)?.peel_to_commit()?.id();
        self.repository.reference(&branch.to_ref(), commit, true, "")?;
        Ok(commit.into())
    }

    /// Says that this branch is the remote's default, as after a clone.
    pub(crate) fn name_default(&self, default: &BranchName) -> Result<(), git2::Error> {
        let target = format!("refs/remotes/origin/{default}");
        let name = "refs/remotes/origin/HEAD";
        self.repository.reference_symbolic(name, &target, true, "").map(drop)
    }

    /// Makes HEAD a branch at this commit.
    pub(crate) fn switch_to(
        &self,
        branch: &BranchName,
        commit: CommitId,
    ) -> Result<(), git2::Error> {
        self.repository.reference(&branch.to_ref(), commit.oid(), true, "")?;
        self.repository.set_head(&branch.to_ref())
    }

    /// Makes those of these commits known that its packs have, with the end of their history, so that a
    /// fetch tells the remote of them.
    pub(crate) fn make_known(&self, tips: &[CommitId]) -> Result<(), git2::Error> {
        let tips: Vec<Oid> =
            tips.iter().filter(|tip| self.has(**tip)).map(|tip| tip.oid()).collect();
        for tip in &tips {
            self.repository.reference(&format!("{KNOWN}{tip}"), *tip, true, "")?;
        }
        self.write_shallow(&border(&self.repository, &tips)?)
    }

    /// Makes it forget them again.
    pub(crate) fn forget_known(&self) -> Result<(), git2::Error> {
        for reference in self.repository.references_glob(&format!("{KNOWN}*"))? {
            reference?.delete()?;
        }
        Ok(())
    }

    fn write_shallow(&self, border: &[Oid]) -> Result<(), git2::Error> {
        let text: String = border.iter().map(|id| format!("{id}\n")).collect();
        if text.is_empty() {
            return Ok(());
        }
        fs::write(self.repository.path().join("shallow"), text)
            .map_err(|error| git2::Error::from_str(&error.to_string()))
    }
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
