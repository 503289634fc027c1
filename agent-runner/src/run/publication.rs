//! What is done with the work once the worker has ended: committed, brought up to date, looked through,
//! pushed (and then [proposed](super::proposal)). Each step takes what the one before it made.

use std::path::PathBuf;

use super::job::Job;
use super::progress::{Progress, Unchanged};
use crate::checkout::{Checkout, Start};
use crate::course::{Phase, code};
use crate::forge::Forge as _;
use crate::git::{CommitId, Git};
use crate::inspect::{self, Inspected, Outgoing, Policy};
use crate::outcome::{Published, RunError};
use crate::project_file::{BaseUpdate, OnCheckFailure};
use crate::prompt;
use crate::publish::{self, ByProducts, CommitMessage, DiffStat, LfsContent, Snapshot, Updated};
use crate::report::Reporter;
use crate::worker::Ending;

/// Most files with a conflict that a pull request lists.
const CONFLICTS_SHOWN: usize = 10;

/// What is to be published.
pub(super) struct Work {
    /// The commit.
    pub(super) commit: CommitId,
    /// How much it changes.
    pub(super) stat: DiffStat,
    /// The base branch, as it was fetched last.
    pub(super) base: CommitId,
}

impl Job {
    /// What becomes of work that fails the repository's check.
    pub(super) fn on_check_failure(&self) -> OnCheckFailure {
        self.project.check.as_ref().map(|check| check.on_failure).unwrap_or_default()
    }

    /// The state of the work tree, between two commands.
    pub(super) async fn snapshot(&self, checkout: &Checkout) -> Result<Snapshot, RunError> {
        publish::snapshot(&self.git, checkout).await.map_err(RunError::Commit)
    }

    /// Notes what a command did to the work tree.
    pub(super) async fn tell_apart(
        &self,
        checkout: &Checkout,
        before: Snapshot,
        after: Snapshot,
        by_products: &mut ByProducts,
    ) -> Result<(), RunError> {
        by_products.add(&self.git, checkout, before, after).await.map_err(RunError::Commit)
    }

    /// Notes what a command did that was broken off, so that it does not pass for work.
    pub(super) async fn forget_broken_command(
        &self,
        git: &Git,
        checkout: &Checkout,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        let Some(before) = progress.command_since.take() else { return Ok(()) };
        let after = publish::snapshot(git, checkout).await.map_err(RunError::Commit)?;
        let noted = progress.by_products.add(git, checkout, before, after).await;
        noted.map_err(RunError::Commit)
    }

    /// Commits what is different by now; whether there is any work that is a run's.
    pub(super) async fn record(
        &self,
        checkout: &Checkout,
        progress: &Progress,
    ) -> Result<bool, RunError> {
        let _phase = self.course.phase(Phase::Commit);
        let tip = self.commit_with(&self.git, checkout, progress, None).await?;
        let of_before = match checkout.start() {
            Start::Fresh | Start::Reviewed => false,
            Start::Continued | Start::Rescued => true,
        };
        Ok(of_before || tip != checkout.start_commit())
    }

    /// Commits what a review changed; nothing where that is nothing.
    pub(super) async fn commit_review(
        &self,
        checkout: &Checkout,
        progress: &Progress,
    ) -> Result<Option<Work>, RunError> {
        let _phase = self.course.phase(Phase::Commit);
        let commit = self.commit_with(&self.git, checkout, progress, None).await?;
        if commit == checkout.start_commit() {
            return Ok(None);
        }
        let stat = publish::diff_stat(&self.git, checkout, commit).await;
        let (stat, base) = (stat.map_err(RunError::Commit)?, checkout.base_commit());
        self.told_of(checkout, Work { commit, stat, base }).await.map(Some)
    }

    /// Commits what is different; else takes what an earlier run pushed and did not come to propose. What
    /// this run has not changed is otherwise not its to deliver.
    pub(super) async fn commit(
        &self,
        checkout: &Checkout,
        progress: &Progress,
    ) -> Result<Work, RunError> {
        let _phase = self.course.phase(Phase::Commit);
        let commit = self.commit_with(&self.git, checkout, progress, None).await?;
        // That nothing is different has a reason where the turn ended with a question.
        let nothing = || match progress.question.clone() {
            Some(question) => RunError::Turn(Ending::NeedsInput(question)),
            None => RunError::NoChanges { answer: progress.answer.clone() },
        };
        let unchanged = commit == checkout.start_commit();
        if unchanged && checkout.start() == Start::Rescued {
            self.course.saved(checkout.branch().rescue().as_str(), commit);
        }
        let found_done = checkout.start() == Start::Rescued
            && progress.unchanged == Unchanged::Done
            && progress.question.is_none();
        if unchanged
            && !found_done
            && (checkout.start() != Start::Continued || progress.question.is_some())
        {
            return Err(nothing());
        }
        let stat = publish::diff_stat(&self.git, checkout, commit).await;
        let stat = stat.map_err(RunError::Commit)?;
        let left = !unchanged || found_done || self.is_left_to_propose(checkout, commit).await?;
        if stat.files == 0 || !left {
            return Err(nothing());
        }
        self.told_of(checkout, Work { commit, stat, base: checkout.base_commit() }).await
    }

    /// Whether a commit that is on the ticket's branch was left there by a run that was broken off: by an
    /// earlier try of this job, or before there was a pull request.
    async fn is_left_to_propose(
        &self,
        checkout: &Checkout,
        commit: CommitId,
    ) -> Result<bool, RunError> {
        let message = publish::message(&self.git, checkout, commit).await;
        let message = message.map_err(RunError::Commit)?;
        let run = self.course.trailers().into_iter().find(|(name, _)| *name == "Agent-Run");
        if run.is_some_and(|(name, job)| message.contains(&format!("{name}: {job}"))) {
            return Ok(true);
        }
        let found = self.forge.find_open(checkout.branch(), checkout.base_branch()).await;
        let branch = checkout.branch().to_string();
        Ok(found.map_err(|source| RunError::PullRequest { branch, source })?.is_none())
    }

    /// Commits what is different; the tip of the branch. `unfinished` says why it is no more than that.
    pub(super) async fn commit_with(
        &self,
        git: &Git,
        checkout: &Checkout,
        progress: &Progress,
        unfinished: Option<&str>,
    ) -> Result<CommitId, RunError> {
        let message = self.message(progress, unfinished);
        let commit =
            publish::commit_all(git, checkout, &self.author, &message, &progress.by_products);
        let tip = || checkout.shadow().commit_of(&checkout.branch().to_ref());
        match commit.await.map_err(RunError::Commit)? {
            Some(commit) => Ok(commit),
            None => tip().map_err(|error| RunError::Commit(error.into())),
        }
    }

    /// The message of a commit.
    pub(super) fn message(&self, progress: &Progress, unfinished: Option<&str>) -> CommitMessage {
        let body = match unfinished {
            None => prompt::accomplished(&progress.answer),
            Some(why) => format!("Unfinished: {why}"),
        };
        let (title, body) = (self.cleaned(&self.title()), self.cleaned(&body));
        CommitMessage::new(&title, &body, &self.course.trailers())
    }

    /// A text of others without what must not be published, so that no word in it keeps the work back.
    pub(super) fn cleaned(&self, text: &str) -> String {
        inspect::without_secrets(&self.redaction.redactor(), text)
    }

    /// Makes sure, before more is published, that the job is still ours and the run is to go on.
    pub(super) async fn keep_lease(
        &self,
        published: Published,
        reporter: &Reporter,
    ) -> Result<(), RunError> {
        match self.cancel.run_until_cancelled(reporter.renew_lease()).await {
            Some(Ok(())) => Ok(()),
            Some(Err(source)) => Err(RunError::of_lease(published, source)),
            None => Err(RunError::Cancelled(published)),
        }
    }

    /// Looks whether the base has moved on, and brings the work up to date where that is wanted. Work
    /// that undoes what landed there meanwhile goes no further.
    pub(super) async fn freshen(
        &self,
        checkout: &Checkout,
        work: &mut Work,
    ) -> Result<(), RunError> {
        let _phase = self.course.phase(Phase::Freshness);
        let base = || checkout.base_branch().to_string();
        let failed = |source| RunError::Freshness { base: base(), source };
        let how = self.project.publish.base_update;
        let moved = publish::moved_base(&self.git, checkout).await.map_err(failed)?;
        if let Some(now) = moved {
            self.course.note(|record| {
                if let Some(repository) = &mut record.repository {
                    repository.base_moved_to = Some(now.to_string());
                }
            });
        }
        let ours = publish::is_all_ours(&self.git, checkout, &self.author, work.commit).await;
        if ours.map_err(failed)? && (moved.is_none() || how == BaseUpdate::None) {
            return Ok(());
        }
        let now = match moved {
            Some(_) => publish::fetch_base(&self.git, checkout).await.map_err(failed)?,
            None => checkout.base_commit(),
        };
        if how != BaseUpdate::None && moved.is_some() {
            let updated =
                publish::update(&self.git, checkout, &self.author, work.commit, now, how).await;
            match updated.map_err(failed)? {
                Updated::Done(commit) if commit != work.commit => {
                    work.commit = commit;
                    self.not_checked(&base());
                }
                Updated::Done(_) => {}
                Updated::Conflicts(files) => self.not_updated(&base(), &conflict(&files)),
                Updated::Unrelated => self.not_updated(&base(), "the fetched history is too short"),
            }
        }
        let files = publish::reverted(&self.git, checkout, work.commit, now).await;
        let files = files.map_err(failed)?;
        if !files.is_empty() {
            return Err(RunError::Reverts { base: base(), files });
        }
        let Work { commit, stat, .. } = *work;
        *work = self.told_of(checkout, Work { commit, stat, base: now }).await?;
        Ok(())
    }

    /// Says so where the check saw another commit than the one that is proposed.
    fn not_checked(&self, base: &str) {
        if self.project.check.is_some() {
            self.course.remark(format!(
                "The check ran before {base} was brought in, and not on the commit that is proposed"
            ));
        }
    }

    fn not_updated(&self, base: &str, why: &str) {
        tracing::warn!("the work was not brought up to date with {base}: {why}");
        self.course.remark(format!("Not brought up to date with {}: {why}", code(base)));
    }

    /// Looks through what would be published. What must not be, goes no further. The content in Git LFS
    /// that belongs to it.
    pub(super) async fn inspect(
        &self,
        checkout: &Checkout,
        work: &Work,
    ) -> Result<LfsContent, RunError> {
        let _phase = self.course.phase(Phase::Inspect);
        let outgoing = outgoing(checkout, work.commit, work.base);
        let lfs = publish::gather_lfs(&self.git, checkout, outgoing).await;
        let lfs = lfs.map_err(RunError::LfsNotGathered)?;
        let found = self.inspected(&self.git, checkout, outgoing).await?;
        let blocking = found.blocking();
        self.course.findings(found.findings);
        match blocking.is_empty() {
            true => Ok(lfs),
            false => Err(RunError::Blocked { findings: blocking }),
        }
    }

    /// What is to be said of the changes.
    pub(super) async fn inspected(
        &self,
        git: &Git,
        checkout: &Checkout,
        outgoing: Outgoing,
    ) -> Result<Inspected, RunError> {
        let policy = Policy {
            lfs: checkout.lfs().cloned(),
            forbidden: self.project.forbidden.clone(),
            examples: self.project.examples.clone(),
            ..Policy::new(self.redaction.whole_values())
        };
        let found = publish::inspected(git, checkout, outgoing, policy).await;
        found.map_err(RunError::Commit)
    }

    /// Sends what is in Git LFS, before the commit that names it: one without it is broken. Nobody sees
    /// it before that.
    pub(super) async fn send_lfs(
        &self,
        checkout: &Checkout,
        lfs: &LfsContent,
    ) -> Result<(), RunError> {
        let _phase = self.course.phase(Phase::Push);
        publish::send_lfs(&self.git, checkout, lfs).await.map_err(RunError::LfsNotSent)
    }

    /// Pushes, and makes sure that the remote has it.
    pub(super) async fn push(&self, checkout: &Checkout, work: &Work) -> Result<(), RunError> {
        let _phase = self.course.phase(Phase::Push);
        let branch = || checkout.branch().to_string();
        let pushed = publish::push(&self.git, checkout, work.commit).await;
        pushed.map_err(|source| RunError::Push { branch: branch(), source })?;
        let verified = publish::verify(&self.git, checkout, work.commit).await;
        verified.map_err(|source| RunError::NotConfirmed { branch: branch(), source })?;
        self.course.saved(checkout.branch().as_str(), work.commit);
        Ok(())
    }

    /// Notes the commits and their size.
    async fn told_of(&self, checkout: &Checkout, work: Work) -> Result<Work, RunError> {
        let commits = publish::commits(&self.git, checkout, work.commit, work.base).await;
        let commits = commits.map_err(RunError::Commit)?;
        self.course.note(|record| {
            record.commits = commits;
            record.diff = Some(work.stat.into());
        });
        Ok(work)
    }
}

/// The commits that would be published. Where the work begins is on the remote already.
pub(super) fn outgoing(checkout: &Checkout, tip: CommitId, base: CommitId) -> Outgoing {
    Outgoing { base, start: checkout.start_commit(), tip }
}

fn conflict(files: &[PathBuf]) -> String {
    let shown = files.iter().take(CONFLICTS_SHOWN).map(|file| code(&file.to_string_lossy()));
    let more = files.len().saturating_sub(CONFLICTS_SHOWN);
    let more = (more > 0).then(|| format!("{more} more"));
    format!("changed on both sides: {}", shown.chain(more).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_with_a_conflict_stay_within_their_line_and_are_no_markup() {
        let files: Vec<PathBuf> =
            (0..14).map(|number| PathBuf::from(format!("{number}\n## All is well"))).collect();
        let text = conflict(&files);
        assert!(text.starts_with("changed on both sides: `0 ## All is well`, `1 ##"), "{text}");
        assert!(text.ends_with("`9 ## All is well`, 4 more"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
}
