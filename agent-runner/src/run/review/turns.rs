//! The worker's part of a review: one session, whose turns end with what is said of each thread.

use std::path::Path;

use api_client::outcome::ThreadEnding;

use super::endings::{self, Fault};
use super::prompt;
use super::threads::Asked;
use crate::checkout::Checkout;
use crate::outcome::RunError;
use crate::report::Reporter;
use crate::run::directed::{self, Errand};
use crate::run::job::Job;
use crate::run::progress::Progress;
use crate::run::session::{Checked, Session};
use crate::settings::DockerMode;

/// What the worker says of each thread, in their order.
type Said = Vec<(ThreadEnding, String)>;

/// What is to be answered.
#[derive(Debug)]
pub(super) struct Asks<'a> {
    /// The threads.
    pub(super) threads: &'a [Asked],
    /// All of it, for the worker's first turn.
    pub(super) prompt: String,
    /// What it comes to, for a Director.
    pub(super) task: String,
}

/// What came of the turns.
#[derive(Debug)]
pub(super) struct Worked {
    /// What the repository's check says.
    pub(super) checked: Checked,
    /// What the worker says; nothing where that cannot be read.
    pub(super) said: Option<Said>,
}

/// Lets the worker answer, until the repository's check passes or there are no turns left.
pub(super) async fn work(
    job: &Job,
    checkout: &Checkout,
    place: (&Path, DockerMode),
    reporter: &Reporter,
    asks: Asks<'_>,
    progress: &mut Progress,
) -> Result<Worked, RunError> {
    let mut session = Session::open(job, checkout, place, reporter, progress).await?;
    let worked = in_session(&mut session, asks, progress).await;
    session.close().await;
    worked
}

async fn in_session(
    session: &mut Session<'_>,
    Asks { threads: asked, prompt, task }: Asks<'_>,
    progress: &mut Progress,
) -> Result<Worked, RunError> {
    session.make_ready(progress).await?;
    let checked = match &session.job.settings.director {
        Some(director) => {
            let errand = if asked.is_empty() { Errand::Checks } else { Errand::Review };
            directed::answer(session, director, (errand, task, prompt), progress).await?
        }
        None => session.execute_checked(prompt, progress).await?,
    };
    let said = match checked {
        // Nothing is said then.
        Checked::Failed(_) => None,
        Checked::Well if asked.is_empty() => Some(Vec::new()),
        Checked::Well => said(session, asked, progress).await?,
    };
    progress.answer = endings::without_block(&progress.answer);
    Ok(Worked { checked, said })
}

/// What the worker says of each thread, asked once more where that cannot be read.
async fn said(
    session: &mut Session<'_>,
    asked: &[Asked],
    progress: &mut Progress,
) -> Result<Option<Said>, RunError> {
    let fault = match endings::parse(&progress.words, asked.len()) {
        Ok(said) => return Ok(Some(said)),
        Err(fault) => fault,
    };
    repair(session, asked, &fault, progress).await?;
    Ok(endings::parse(&progress.words, asked.len())
        .inspect_err(|fault| tracing::warn!("how the threads end cannot be read: {fault}"))
        .ok())
}

/// One turn for the words alone: what it changes in the work tree was not checked, and is no work.
async fn repair(
    session: &mut Session<'_>,
    asked: &[Asked],
    fault: &Fault,
    progress: &mut Progress,
) -> Result<(), RunError> {
    let (job, checkout) = (session.job, session.checkout);
    let before = job.snapshot(checkout).await?;
    progress.command_since = Some(before);
    let answer = std::mem::take(&mut progress.answer);
    session.execute(prompt::repair(&job.prompts, asked, fault), progress).await?;
    progress.answer = answer;
    let after = job.snapshot(checkout).await?;
    job.tell_apart(checkout, before, after, &mut progress.by_products).await?;
    progress.command_since = None;
    Ok(())
}
