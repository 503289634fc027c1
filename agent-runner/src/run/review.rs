//! The review of a pull request, from what was said there to one answer in each thread.
//!
//! Invariants: what is worked on is the pull request's own branch, as the forge names it, and never the one that
//! it goes to. What was decided is noted on the pull request before anything is pushed or said, and nothing is
//! said before what was changed is proved to be there; so a run that is broken off anywhere is ended by the
//! next one, which says what is left to say.

mod checks;
mod discussion;
mod endings;
mod gate;
mod key;
mod ledger;
mod prompt;
mod publication;
mod replies;
mod threads;
mod turns;

use std::path::Path;

use tokio_util::sync::CancellationToken;

use self::discussion::Discussion;
use self::endings::{Changed, Decision, decided};
use self::publication::{Publication, Said};
use self::turns::Asks;
use super::delivery::save_what_is_left;
use super::job::Job;
use super::progress::Progress;
use super::session::Checked;
use crate::checkout::Checkout;
use crate::course::Phase;
use crate::forge::{Home, PullRequestState, Review as _, Reviewed};
use crate::git::BranchName;
use crate::outcome::{Published, RunError};
use crate::report::{Reporter, Step};
use crate::settings::DockerMode;

/// A pull request that may be worked on.
#[derive(Clone, Debug)]
pub(super) struct UnderReview {
    /// As the forge shows it.
    pub(super) request: Reviewed,
    /// Its branch.
    pub(super) head: BranchName,
}

/// A review that is answered.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    /// The page of the pull request.
    pub(super) url: String,
    /// What was done, in a sentence.
    pub(super) summary: String,
}

impl UnderReview {
    /// Reads a pull request, and makes sure that its branch may be pushed to.
    pub(super) async fn open(job: &Job, number: u64) -> Result<Self, RunError> {
        let request = job.forge.reviewed(number).await.map_err(RunError::ReviewUnread)?;
        let refused = |why: String| RunError::ReviewRefused { number, why };
        match (request.state, request.home) {
            (PullRequestState::Closed, _) => Err(refused("it is closed or merged".to_owned())),
            (PullRequestState::Open, Home::Elsewhere) => Err(refused(
                "its branch is in another repository (a fork), which is not pushed to".to_owned(),
            )),
            (PullRequestState::Open, Home::Here) if request.head == request.base => {
                Err(refused(format!("its branch {} is the one that it goes to", request.head)))
            }
            (PullRequestState::Open, Home::Here) => {
                let head = request.head.parse().map_err(|error| refused(format!("{error}")))?;
                Ok(Self { request, head })
            }
        }
    }
}

/// Answers; what is left of a run that cannot is saved, unless it is `late`.
pub(super) async fn answer_or_save(
    job: &Job,
    review: &UnderReview,
    checkout: &Checkout,
    (private, docker): (&Path, DockerMode),
    reporter: &Reporter,
    late: &CancellationToken,
) -> Result<Answered, RunError> {
    let mut progress = Progress::default();
    let place = (private, docker);
    let answer = answer(job, review, checkout, place, reporter, &mut progress);
    let answered =
        late.run_until_cancelled(Box::pin(answer)).await.unwrap_or(Err(RunError::CutShort));
    if let (Ok(_), Some(commit)) = (&answered, progress.published) {
        late.run_until_cancelled(job.tidy(checkout, commit)).await;
    }
    if let Err(error) = &answered {
        save_what_is_left(job, checkout, &mut progress, error, reporter, late).await;
    }
    answered
}

async fn answer(
    job: &Job,
    review: &UnderReview,
    checkout: &Checkout,
    (private, docker): (&Path, DockerMode),
    reporter: &Reporter,
    progress: &mut Progress,
) -> Result<Answered, RunError> {
    let number = review.request.number;
    let began = format!("{} is the head of pull request #{number}", checkout.branch());
    reporter.step(Step::BranchCheckedOut, &began, None).await;
    let mut publication = Publication::new(job, review, checkout, reporter);
    let phase = job.course().phase(Phase::Review);
    let mut discussion = Discussion::read(job, review, checkout).await?;
    if publication.say(&mut discussion).await? == Said::Something {
        // What an earlier run decided is said; what is left is asked.
        discussion = Discussion::read(job, review, checkout).await?;
    }
    drop(phase);
    if discussion.gathered.unsigned > 0 {
        job.course().warn(format!(
            "{} comments of the token's own account have no signature and are taken for the agent's; where a \
             person works with that account, name its login in AGENT_REVIEW_AUTHORS",
            discussion.gathered.unsigned
        ));
    }
    if discussion.wants_work() {
        let decisions = work(&mut publication, &discussion, (private, docker), progress).await?;
        publication.publish(&mut discussion, decisions, progress).await?;
        publication.say(&mut discussion).await?;
    }
    publication.leave_checks_alone(&discussion).await?;
    publication.complete(discussion, progress).await
}

/// Has the worker do what is asked; what is decided of each thread.
async fn work(
    publication: &mut Publication<'_>,
    discussion: &Discussion,
    place: (&Path, DockerMode),
    progress: &mut Progress,
) -> Result<Vec<Decision>, RunError> {
    let Publication { job, checkout, reporter, .. } = *publication;
    let asked = &discussion.gathered.asked;
    let (prompt, task) = (discussion.prompt(job, checkout), discussion.task(job));
    let asks = Asks { threads: asked, prompt, task };
    let worked = turns::work(job, checkout, place, reporter, asks, progress).await?;
    job.end_leftovers(checkout).await?;
    publication.work = job.commit_review(checkout, progress).await?;
    if let Checked::Failed(end) = worked.checked {
        return Err(RunError::ChecksFailed { end, proposed: None });
    }
    if job.is_cancelled() {
        return Err(RunError::Cancelled(Published::Nothing));
    }
    let changed = match &publication.work {
        Some(work) => Changed::In(work.commit),
        None => Changed::Nothing,
    };
    // Looked through once more: what was escaped in the block is plain now.
    let cleaned = |one: Decision| Decision { reply: job.cleaned(&one.reply), ..one };
    Ok(decided(asked, worked.said, changed).into_iter().map(cleaned).collect())
}
