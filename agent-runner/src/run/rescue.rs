//! What is done with the work of a run that does not come to its end.
//!
//! Invariant: nothing with a secret in it is pushed, and nothing that the repository's owners forbid:
//! what runs where somebody pushes must not be the agent's to write. A file in Git LFS whose content is not
//! on the remote is left out, and the rest saved.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use api_client::error_chain;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::job::Job;
use super::progress::Progress;
use super::publication::outgoing;
use crate::checkout::Checkout;
use crate::git::{CommitId, Git};
use crate::outcome::{Published, RunError, paths_text};
use crate::publish::{self, LfsContent, PublishError};
use crate::report::Reporter;

/// How long content in Git LFS may take to be sent once the run is cancelled, of the few seconds that it
/// has left: the rest is to be saved as well.
const SEND_LIMIT: Duration = Duration::from_secs(2);

/// How long the app is asked whether the job is another's by now. One that does not answer is no reason
/// to lose the work.
const LEASE_LIMIT: Duration = Duration::from_secs(2);

/// The work of a run that does not come to its end, about to be saved.
pub(super) struct Rescue<'r> {
    pub(super) job: &'r Job,
    pub(super) checkout: &'r Checkout,
    pub(super) progress: &'r mut Progress,
    /// Why there is no more of it.
    pub(super) why: &'r RunError,
}

/// Work that is not finished.
struct Unfinished {
    /// Its newest commit.
    tip: CommitId,
    /// One commit with all of it that may be seen.
    commit: CommitId,
    /// The files whose changes are not in that.
    without: BTreeSet<PathBuf>,
}

impl Rescue<'_> {
    /// Saves what there is on a branch of its own, if anything is different.
    ///
    /// # Errors
    /// When that cannot be done, or may not.
    pub(super) async fn save(
        mut self,
        reporter: &Reporter,
        late: &CancellationToken,
    ) -> Result<(), RunError> {
        let (job, checkout) = (self.job, self.checkout);
        // The token is in use from here on.
        job.end_leftovers(checkout).await?;
        let git = job.git_until(late.clone())?;
        let (ours, made) =
            tokio::join!(still_ours(self.why, reporter), self.what_may_be_saved(&git));
        ours?;
        let Some(mut work) = made? else { return Ok(()) };
        if !self.send_or_leave_out(&git, &mut work).await? {
            return Ok(());
        }
        let whole: Vec<CommitId> = self.progress.published.into_iter().chain([work.tip]).collect();
        let failed =
            |source| RunError::Push { branch: checkout.branch().rescue().to_string(), source };
        // A part of the work is not what is kept.
        if work.without.is_empty() {
            self.progress.keeper.publishes(work.commit);
        }
        let rescued = publish::rescue(&git, checkout, &whole, work.commit).await.map_err(failed)?;
        // The remote took it, should there be no time to ask.
        job.course.saved(rescued.branch.as_str(), rescued.commit);
        if let Err(error) = publish::confirm(&git, checkout, &rescued).await {
            if matches!(error, PublishError::NotVerified { .. }) {
                job.course.note(|record| record.rescue = None);
            }
            return Err(failed(error));
        }
        tracing::warn!(commit = %rescued.commit, "unfinished work is saved on branch {}", rescued.branch);
        Ok(())
    }

    /// All of the work that may be seen, if there is any.
    async fn what_may_be_saved(&mut self, git: &Git) -> Result<Option<Unfinished>, RunError> {
        let (job, checkout) = (self.job, self.checkout);
        job.forget_broken_command(git, checkout, self.progress).await?;
        let why = self.why.to_string();
        let tip = job.commit_with(git, checkout, self.progress, Some(&why)).await?;
        if tip == checkout.start_commit() {
            return Ok(None);
        }
        let mut work = Unfinished { tip, commit: tip, without: BTreeSet::new() };
        if !self.squash(git, &mut work).await? {
            return Ok(None);
        }
        let base = self.progress.base(checkout);
        let lfs = publish::lfs_at_hand(git, checkout, outgoing(checkout, work.commit, base)).await;
        let missing = lfs.map_err(RunError::LfsNotGathered)?.missing_files();
        if !missing.is_empty() {
            self.not_saved(&missing, "whose content nobody here has");
            work.without.extend(missing);
            if !self.squash(git, &mut work).await? {
                return Ok(None);
            }
        }
        let found = job.inspected(git, checkout, outgoing(checkout, work.commit, base)).await?;
        if !matches!(self.why, RunError::Blocked { .. }) {
            job.course.findings(found.findings.clone());
        }
        if found.blocking().is_empty() {
            return Ok(Some(work));
        }
        tracing::warn!(
            files = found.barred.len(),
            "files that must not be published are not saved"
        );
        work.without.extend(found.barred);
        if !self.squash(git, &mut work).await? {
            return Ok(None);
        }
        let found = job.inspected(git, checkout, outgoing(checkout, work.commit, base)).await?;
        match found.blocking() {
            none if none.is_empty() => Ok(Some(work)),
            findings => Err(RunError::Blocked { findings }),
        }
    }

    /// Makes the one commit of the work; whether there is any.
    async fn squash(&self, git: &Git, work: &mut Unfinished) -> Result<bool, RunError> {
        let message = self.job.message(self.progress, Some(&self.why.to_string()));
        let (author, without) = (&self.job.author, work.without.clone());
        let made = publish::squashed(git, self.checkout, author, &message, work.tip, without).await;
        let made = made.map_err(RunError::Commit)?;
        work.commit = made.unwrap_or(work.commit);
        Ok(made.is_some())
    }

    /// Sends the work's content in Git LFS. Where that cannot be done, the rest is saved without those
    /// files; whether there is any.
    async fn send_or_leave_out(&self, git: &Git, work: &mut Unfinished) -> Result<bool, RunError> {
        let base = self.progress.base(self.checkout);
        let outgoing = outgoing(self.checkout, work.commit, base);
        let lfs = publish::lfs_at_hand(git, self.checkout, outgoing).await;
        let lfs = lfs.map_err(RunError::LfsNotGathered)?;
        let files = lfs.files();
        if files.is_empty() {
            return Ok(true);
        }
        // What was just tried is not tried again.
        let reason = match self.why {
            RunError::LfsNotSent(_) => String::new(),
            _ => match self.sent_in_time(git, &lfs).await {
                Ok(()) => return Ok(true),
                Err(reason) => format!(": {reason}"),
            },
        };
        self.not_saved(&files, &format!("whose content could not be sent{reason}"));
        work.without.extend(files);
        self.squash(git, work).await
    }

    /// Sends content in Git LFS; why that could not be done.
    async fn sent_in_time(&self, git: &Git, lfs: &LfsContent) -> Result<(), String> {
        let hurried = async {
            self.job.cancel.cancelled().await;
            sleep(SEND_LIMIT).await;
        };
        tokio::select! {
            sent = publish::send_lfs(git, self.checkout, lfs) => sent.map_err(|error| error_chain(&error)),
            () = hurried => Err("there was no time for it".to_owned()),
        }
    }

    /// Says which files in Git LFS are left out.
    fn not_saved(&self, files: &BTreeSet<PathBuf>, why: &str) {
        let files: Vec<PathBuf> = files.iter().cloned().collect();
        let files = paths_text(&files);
        self.job.course.warn(format!("not saved are these files in Git LFS, {why}: {files}"));
    }
}

impl Job {
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
