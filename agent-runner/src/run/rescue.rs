//! What is done with the work of a run that does not come to its end.
//!
//! Invariant: nothing with a secret in it is pushed, and nothing that the repository's owners forbid:
//! what runs where somebody pushes must not be the agent's to write.

use std::time::Duration;

use api_client::error_chain;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::job::Job;
use super::session::Progress;
use crate::checkout::Checkout;
use crate::git::{CommitId, Git};
use crate::outcome::{Published, RunError};
use crate::publish::{self, PublishError};
use crate::report::Reporter;

/// How long the app is asked whether the job is another's by now. One that does not answer is no reason
/// to lose the work.
const LEASE_LIMIT: Duration = Duration::from_secs(2);

impl Job {
    /// Saves what there is on a branch of its own, if anything is different.
    ///
    /// # Errors
    /// When that cannot be done, or may not.
    pub(super) async fn rescue(
        &self,
        checkout: &Checkout,
        progress: &mut Progress,
        why: &RunError,
        reporter: &Reporter,
        late: &CancellationToken,
    ) -> Result<(), RunError> {
        // The token is in use from here on.
        self.end_leftovers(checkout).await?;
        let git = self.git_until(late.clone())?;
        let words = why.to_string();
        let (ours, made) = tokio::join!(
            still_ours(why, reporter),
            self.what_may_be_saved(&git, checkout, progress, why, &words)
        );
        ours?;
        let Some((tip, commit)) = made? else { return Ok(()) };
        let whole: Vec<CommitId> = progress.published.into_iter().chain([tip]).collect();
        let branch = || checkout.branch().rescue().to_string();
        let failed = |source| RunError::Push { branch: branch(), source };
        self.upload_lfs(&git, checkout, branch(), commit, progress.base(checkout)).await?;
        let rescued = publish::rescue(&git, checkout, &whole, commit).await.map_err(failed)?;
        // The remote took it, should there be no time to ask.
        self.course.saved(rescued.branch.as_str(), rescued.commit);
        if let Err(error) = publish::confirm(&git, checkout, &rescued).await {
            if matches!(error, PublishError::NotVerified { .. }) {
                self.course.note(|record| record.rescue = None);
            }
            return Err(failed(error));
        }
        tracing::warn!(commit = %rescued.commit, "unfinished work is saved on branch {}", rescued.branch);
        Ok(())
    }

    /// Removes the branch that the work was saved on before, once that is on the ticket's own: a later
    /// run, after the ticket's branch is merged and gone, must not begin there.
    pub(super) async fn tidy(&self, checkout: &Checkout, delivered: CommitId) {
        if self.is_cancelled() {
            return;
        }
        if let Err(error) = publish::forget_rescue(&self.git, checkout, delivered).await {
            let branch = checkout.branch().rescue();
            tracing::warn!("branch {branch} is left: {}", error_chain(&error));
        }
    }

    /// The newest commit of the work, and one commit with all of it that may be seen.
    async fn what_may_be_saved(
        &self,
        git: &Git,
        checkout: &Checkout,
        progress: &mut Progress,
        why: &RunError,
        words: &str,
    ) -> Result<Option<(CommitId, CommitId)>, RunError> {
        self.forget_broken_command(git, checkout, progress).await?;
        let tip = self.commit_with(git, checkout, progress, Some(words)).await?;
        if tip == checkout.start_commit() {
            return Ok(None);
        }
        let message = self.message(progress, Some(words));
        let squashed = async |without| {
            let made = publish::squashed(git, checkout, &self.author, &message, tip, without);
            made.await.map_err(RunError::Commit)
        };
        let Some(all) = squashed(Default::default()).await? else { return Ok(None) };
        let found = self.inspected(git, checkout, all, progress.base(checkout)).await?;
        if !matches!(why, RunError::Blocked { .. }) {
            self.course.findings(found.findings.clone());
        }
        if found.blocking().is_empty() {
            return Ok(Some((tip, all)));
        }
        tracing::warn!(
            files = found.barred.len(),
            "files that must not be published are not saved"
        );
        let Some(rest) = squashed(found.barred).await? else { return Ok(None) };
        let found = self.inspected(git, checkout, rest, progress.base(checkout)).await?;
        match found.blocking() {
            none if none.is_empty() => Ok(Some((tip, rest))),
            findings => Err(RunError::Blocked { findings }),
        }
    }
}

/// Fails where the job is another's.
async fn still_ours(why: &RunError, reporter: &Reporter) -> Result<(), RunError> {
    if matches!(why, RunError::LeaseUnknown { .. }) {
        // It was just asked.
        return Ok(());
    }
    match timeout(LEASE_LIMIT, reporter.renew_lease()).await {
        Err(_) | Ok(Ok(())) => Ok(()),
        Ok(Err(source)) => match RunError::of_lease(Published::Nothing, source) {
            superseded @ RunError::Superseded { .. } => Err(superseded),
            unknown => {
                tracing::warn!("{}", error_chain(&unknown));
                Ok(())
            }
        },
    }
}
