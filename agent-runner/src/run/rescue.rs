//! What is done with the work of a run that does not come to its end.
//!
//! Invariant: nothing with a secret in it is pushed, and nothing that the repository's owners forbid:
//! what runs where somebody pushes must not be the agent's to write.

use std::path::PathBuf;

use api_client::error_chain;
use api_client::outcome::FindingKind;
use tokio_util::sync::CancellationToken;

use super::job::Job;
use super::session::Progress;
use crate::checkout::{Checkout, Start};
use crate::git::CommitId;
use crate::outcome::RunError;
use crate::publish;

impl Job {
    /// Saves what there is on a branch of its own, if anything is different.
    ///
    /// # Errors
    /// When that cannot be done, or may not.
    pub(super) async fn rescue(
        &self,
        checkout: &Checkout,
        progress: &Progress,
        why: &RunError,
        late: &CancellationToken,
    ) -> Result<(), RunError> {
        // The token is in use from here on.
        self.end_leftovers(checkout).await?;
        let git = self.git_until(late.clone())?;
        let why = why.to_string();
        let tip = self.commit_with(&git, checkout, progress, Some(&why)).await?;
        if tip == checkout.start_commit() {
            return Ok(());
        }
        let findings = self.findings(&git, checkout, tip, checkout.base_commit()).await?;
        self.course.findings(findings.clone());
        if findings.iter().any(|finding| finding.kind == FindingKind::Secret) {
            tracing::error!("a secret is in the work: it is not saved");
            return Ok(());
        }
        let left_out: Vec<PathBuf> = findings
            .into_iter()
            .filter(|finding| finding.kind.blocks())
            .map(|finding| finding.path)
            .collect();
        let Some(commit) = self.without(&git, checkout, tip, left_out, progress, &why).await?
        else {
            return Ok(());
        };
        let rescued = publish::rescue(&git, checkout, commit).await;
        let failed =
            |source| RunError::Push { branch: checkout.branch().rescue().to_string(), source };
        let rescued = rescued.map_err(failed)?;
        self.course.saved(rescued.branch.as_str(), rescued.commit);
        tracing::warn!(commit = %rescued.commit, "unfinished work is saved on branch {}", rescued.branch);
        Ok(())
    }

    /// Removes the branch that the work was saved on before, once it is delivered: a later run, after
    /// the ticket's branch is merged and gone, must not begin there.
    pub(super) async fn tidy(&self, checkout: &Checkout) {
        if checkout.start() != Start::Rescued || self.is_cancelled() {
            return;
        }
        if let Err(error) = publish::forget_rescue(&self.git, checkout).await {
            let branch = checkout.branch().rescue();
            tracing::warn!("branch {branch} is left: {}", error_chain(&error));
        }
    }

    async fn without(
        &self,
        git: &crate::git::Git,
        checkout: &Checkout,
        tip: CommitId,
        paths: Vec<PathBuf>,
        progress: &Progress,
        why: &str,
    ) -> Result<Option<CommitId>, RunError> {
        if paths.is_empty() {
            return Ok(Some(tip));
        }
        let message = self.message(progress, Some(why));
        let made = publish::without(git, checkout, &self.author, &message, tip, paths).await;
        made.map_err(RunError::Commit)
    }
}
