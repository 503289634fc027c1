//! What the remote says before anything is fetched.

use super::{CheckoutError, Start};
use crate::git::{Advertised, BranchName, CommitId, Git, Source};

/// What it says.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) default: BranchName,
    pub(super) default_commit: Option<CommitId>,
    /// Of the branch that is continued.
    pub(super) branch_commit: Option<CommitId>,
    /// Of the ticket's own branch.
    pub(super) published: Option<CommitId>,
    /// Of the branch with unfinished work.
    pub(super) rescue: Option<CommitId>,
    /// The branch that is continued: the ticket's, or the one that its unfinished work is on.
    pub(super) continued: BranchName,
    pub(super) start: Start,
}

impl Remote {
    /// The same, as if no unfinished work were to be continued.
    pub(super) fn without_saved(&self, branch: &BranchName) -> Self {
        let start = if self.published.is_some() { Start::Continued } else { Start::Fresh };
        let (continued, branch_commit) = (branch.clone(), self.published);
        Self { continued, branch_commit, start, ..self.clone() }
    }
}

/// The default branch of the remote, and whether it has `branch`.
pub(super) async fn ask_remote(
    git: &Git,
    source: &Source,
    branch: &BranchName,
) -> Result<Remote, CheckoutError> {
    let rescue = branch.rescue();
    let names = ["HEAD", &branch.to_ref(), &rescue.to_ref()];
    let remote = git.ls_remote(source, &names).await?;
    let default = default_branch(&remote, source)?;
    let (default_commit, published) = (remote.head_commit(), remote.commit_of(branch));
    let (start, continued) = match (published, remote.commit_of(&rescue)) {
        (_, Some(_)) => (Start::Rescued, rescue),
        (Some(_), None) => (Start::Continued, branch.clone()),
        (None, None) => (Start::Fresh, branch.clone()),
    };
    tracing::info!(%default, ?start, "the remote was read");
    let branch_commit = remote.commit_of(&continued);
    let rescue = remote.commit_of(&branch.rescue());
    Ok(Remote { rescue, default, default_commit, branch_commit, published, continued, start })
}

/// The same for the head of a pull request, which must be there.
pub(super) async fn ask_for_head(
    git: &Git,
    source: &Source,
    head: &BranchName,
) -> Result<Remote, CheckoutError> {
    let names = ["HEAD", &head.to_ref(), &head.rescue().to_ref()];
    let remote = git.ls_remote(source, &names).await?;
    let default = default_branch(&remote, source)?;
    let (continued, rescue) = (head.clone(), remote.commit_of(&head.rescue()));
    if *head == default {
        return Err(CheckoutError::HeadIsDefault { branch: default });
    }
    let Some(commit) = remote.commit_of(head) else {
        return Err(CheckoutError::NoHead { branch: continued });
    };
    let (default_commit, found) = (remote.head_commit(), Some(commit));
    let (branch_commit, published, start) = (found, found, Start::Reviewed);
    Ok(Remote { default, default_commit, branch_commit, published, rescue, continued, start })
}

/// Asks for the same once more.
pub(super) async fn ask_again(
    git: &Git,
    source: &Source,
    branch: &BranchName,
    remote: &Remote,
) -> Result<Remote, CheckoutError> {
    match remote.start {
        Start::Reviewed => ask_for_head(git, source, branch).await,
        Start::Fresh | Start::Continued | Start::Rescued => ask_remote(git, source, branch).await,
    }
}

fn default_branch(remote: &Advertised, source: &Source) -> Result<BranchName, CheckoutError> {
    let url = || source.url.to_string();
    if !remote.has_head() {
        return Err(CheckoutError::Empty { url: url() });
    }
    remote
        .default_branch()
        .ok_or_else(|| CheckoutError::Detached { url: url() })?
        .map_err(|source| CheckoutError::DefaultBranch { url: url(), source })
}
