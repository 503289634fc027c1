//! From a fresh checkout to a pull request that the app knows of, and what becomes of the work where that
//! is not reached.

use std::path::Path;

use api_client::error_chain;
use tokio_util::sync::CancellationToken;

use super::job::Job;
use super::keeper::Keeper;
use super::progress::Progress;
use super::rescue::Rescue;
use super::session::{self, Checked};
use crate::checkout::{Checkout, Start};
use crate::course::Phase;
use crate::forge::PullRequest;
use crate::outcome::{Published, RunError};
use crate::project_file::OnCheckFailure;
use crate::prompt;
use crate::report::{Reporter, Step};
use crate::settings::DockerMode;

/// Delivers; what is left of a run that cannot is saved, unless it is `late`.
pub(super) async fn deliver_or_rescue(
    job: &Job,
    (checkout, keeper): (&Checkout, Keeper),
    place: (&Path, DockerMode),
    reporter: &Reporter,
    late: &CancellationToken,
) -> Result<PullRequest, RunError> {
    let mut progress = Progress { keeper, ..Progress::default() };
    let delivery = deliver(job, checkout, place, reporter, &mut progress);
    let delivered =
        late.run_until_cancelled(Box::pin(delivery)).await.unwrap_or(Err(RunError::CutShort));
    match &delivered {
        Ok(_) => progress.keeper.forget(),
        Err(error) => progress.keeper.ends(job, error),
    }
    if let Some(commit) = progress.published
        && let Ok(_) | Err(RunError::ChecksFailed { proposed: Some(_), .. }) = &delivered
    {
        // What is delivered stays so, also where there is no time for this.
        late.run_until_cancelled(job.tidy(checkout, commit)).await;
    }
    if let Ok(request) = &delivered {
        late.run_until_cancelled(job.remember(&progress, request, reporter)).await;
    }
    if let Err(error) = &delivered {
        let left = save_what_is_left(job, checkout, &mut progress, error, reporter, late).await;
        // Work that is nowhere else is there for the next run.
        if error.is_final() && left == LeftWork::Settled {
            progress.keeper.forget();
        }
    }
    delivered
}

/// What became of the work of a run that does not deliver it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftWork {
    /// It is on the remote, or there is none to be saved, or none that may be.
    Settled,
    /// It is in this work tree alone.
    NotSaved,
}

/// Saves the work of a run that ended so, where that leaves any and it is wanted.
pub(super) async fn save_what_is_left(
    job: &Job,
    checkout: &Checkout,
    progress: &mut Progress,
    why: &RunError,
    reporter: &Reporter,
    late: &CancellationToken,
) -> LeftWork {
    if !why.leaves_work() || !job.rescues() {
        return LeftWork::Settled;
    }
    let _phase = job.course().phase(Phase::Rescue);
    let rescue = Rescue { job, checkout, progress, why };
    match late.run_until_cancelled(rescue.save(reporter, late)).await {
        Some(Ok(())) => return LeftWork::Settled,
        Some(Err(error)) if error.is_final() => {
            let why = error_chain(&error);
            job.course().warn(format!("unfinished work is not saved, now or later: {why}"));
            return LeftWork::Settled;
        }
        Some(Err(error)) => {
            tracing::error!("unfinished work could not be saved: {}", error_chain(&error));
        }
        None => tracing::error!("there was no time to save unfinished work"),
    }
    LeftWork::NotSaved
}

async fn deliver(
    job: &Job,
    checkout: &Checkout,
    place: (&Path, DockerMode),
    reporter: &Reporter,
    progress: &mut Progress,
) -> Result<PullRequest, RunError> {
    reporter.step(Step::BranchCreated, &began(checkout), None).await;
    let point = progress.take_up(job, checkout).await?;
    let checked = session::work(job, checkout, place, reporter, point, progress).await?;
    job.end_leftovers(checkout).await?;
    let mut work = job.commit(checkout, progress).await?;
    if let Checked::Failed(end) = checked
        && job.on_check_failure() == OnCheckFailure::None
    {
        return Err(RunError::ChecksFailed { end, proposed: None });
    }
    job.freshen(checkout, &mut work).await?;
    progress.base = Some(work.base);
    progress.published = Some(work.commit);
    progress.keeper.publishes(work.commit);
    let lfs = job.inspect(checkout, &work).await?;
    let publishing = format!("Publishing {}: {}", work.commit, work.stat);
    reporter.step(Step::Finalize, &publishing, None).await;
    // It may take long, so the lease is looked at after it.
    job.send_lfs(checkout, &lfs).await?;
    job.keep_lease(Published::Nothing, reporter).await?;
    job.push(checkout, &work).await?;
    job.keep_lease(Published::Branch(checkout.branch().to_string()), reporter).await?;
    let request = job.propose(checkout, &work, &checked, &progress.answer).await?;
    tracing::info!("{}", is_open(&request));
    match checked {
        Checked::Well => complete(job, progress, request, reporter).await,
        // It is no work for a review, so the ticket stays where it is.
        Checked::Failed(end) => Err(RunError::ChecksFailed { end, proposed: Some(request.url) }),
    }
}

/// Tells the app of the pull request. A cancelled run does so as well, if it can in the time it has.
async fn complete(
    job: &Job,
    progress: &Progress,
    request: PullRequest,
    reporter: &Reporter,
) -> Result<PullRequest, RunError> {
    let _phase = job.course().phase(Phase::Complete);
    if let Err(source) = reporter.renew_lease().await {
        return Err(RunError::of_lease(Published::PullRequest(request.url), source));
    }
    let summary = prompt::accomplished(&progress.answer);
    match reporter.complete(&summary, (&request.url, request.number), None).await {
        Ok(()) => Ok(request),
        Err(source) => Err(RunError::Completion { url: request.url, source }),
    }
}

/// What is said of a pull request that is confirmed.
pub(super) fn is_open(request: &PullRequest) -> String {
    format!("Pull request {} is open: {}", request.number, request.url)
}

fn began(checkout: &Checkout) -> String {
    let how = match checkout.start() {
        Start::Fresh => "begins at",
        Start::Continued => "continues an earlier run; its base is",
        Start::Rescued => "continues what an earlier run could not finish; its base is",
        Start::Reviewed => "is the head of a pull request; the base is",
    };
    format!("{} {how} {}", checkout.branch(), checkout.base_branch())
}
