//! What others see of a review: the note on the pull request, the push, the replies, the app's completion, in
//! that order.

use api_client::outcome::{ThreadEnding, ThreadFacts};

use super::discussion::{Discussion, FailingChecks, seal};
use super::endings::Decision;
use super::key::ReplyKey;
use super::ledger::Ledger;
use super::{Answered, UnderReview, replies};
use crate::bounded::bounded;
use crate::checkout::Checkout;
use crate::course::{Phase, code};
use crate::forge::{Forge as _, Line, PullRequestState, Review as _, Thread};
use crate::git::CommitId;
use crate::outcome::{Published, RunError};
use crate::prompt;
use crate::report::{Reporter, Step};
use crate::run::job::Job;
use crate::run::publication::Work;
use crate::run::session::Progress;

/// How much of a reply the outcome has, in bytes.
const REPLY_SHOWN_MAX: usize = 2 << 10;

/// The key of the one comment that says that failing checks are left alone.
const CHECKS_KEY: &str = "checks:left@0";

/// Whether anything was said on the forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Something,
    Nothing,
}

/// What was done where others see it, so far.
pub(super) struct Publication<'p> {
    pub(super) job: &'p Job,
    pub(super) review: &'p UnderReview,
    pub(super) checkout: &'p Checkout,
    pub(super) reporter: &'p Reporter,
    /// What this run changed.
    pub(super) work: Option<Work>,
    /// The endings of the threads that were answered, each with what was said.
    told: Vec<(ThreadEnding, String)>,
    /// That failing checks are left alone, where this run said so.
    gave_up: Option<String>,
}

impl<'p> Publication<'p> {
    pub(super) const fn new(
        job: &'p Job,
        review: &'p UnderReview,
        checkout: &'p Checkout,
        reporter: &'p Reporter,
    ) -> Self {
        Self { job, review, checkout, reporter, work: None, told: Vec::new(), gave_up: None }
    }

    const fn number(&self) -> u64 {
        self.review.request.number
    }

    /// Counts the round of failing checks that is about to begin, however it ends.
    pub(super) async fn count_round(&self, discussion: &mut Discussion) -> Result<(), RunError> {
        if !matches!(discussion.checks, FailingChecks::ForWorker(_)) {
            return Ok(());
        }
        discussion.ledger.rounds += 1;
        self.job.keep_lease(Published::Nothing, self.reporter).await?;
        self.note(&discussion.ledger).await
    }

    /// Looks through what was changed, notes what was decided, and pushes.
    pub(super) async fn publish(
        &self,
        discussion: &mut Discussion,
        decisions: Vec<Decision>,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        let (job, checkout) = (self.job, self.checkout);
        let lfs = match &self.work {
            Some(work) => {
                progress.published = Some(work.commit);
                let lfs = job.inspect(checkout, work).await?;
                let publishing = format!("Publishing {}: {}", work.commit, work.stat);
                self.reporter.step(Step::Finalize, &publishing, None).await;
                Some((work, lfs))
            }
            None => None,
        };
        let commit = self.work.as_ref().map(|work| work.commit);
        discussion.ledger = Ledger { commit, decisions, ..discussion.ledger };
        job.keep_lease(Published::Nothing, self.reporter).await?;
        self.note(&discussion.ledger).await?;
        if let Some((work, lfs)) = lfs {
            job.send_lfs(checkout, &lfs).await?;
            job.keep_lease(Published::Nothing, self.reporter).await?;
            job.push(checkout, work).await?;
        }
        Ok(())
    }

    /// Says what was decided and is not said yet.
    pub(super) async fn say(&mut self, discussion: &Discussion) -> Result<Said, RunError> {
        let Ledger { commit, decisions, .. } = &discussion.ledger;
        let left = decisions.iter().filter(|one| !discussion.is_answered(&one.key));
        let left: Vec<(&Decision, &Thread)> =
            left.filter_map(|one| Some((one, discussion.thread_of(&one.key)?))).collect();
        if left.is_empty() {
            return Ok(Said::Nothing);
        }
        let _phase = self.job.course().phase(Phase::Reply);
        self.job.keep_lease(self.published(), self.reporter).await?;
        let all = left.len();
        for (posted, (decision, thread)) in left.into_iter().enumerate() {
            let facts = facts(decision, thread, *commit);
            let text = self.job.redacted(&replies::text(decision, *commit, thread));
            let sent = self.job.forge.reply(self.number(), thread, &text).await;
            let replied = sent.is_ok();
            self.job.course().note(|record| record.threads.push(ThreadFacts { replied, ..facts }));
            let url = self.review.request.url.clone();
            let failed =
                |source| RunError::ReplyNotPosted { url, posted, all, source: Box::new(source) };
            sent.map_err(failed)?;
            self.told
                .push((decision.ending, format!("{}: {}", decision.key.thread, decision.reply)));
        }
        Ok(Said::Something)
    }

    /// Says once that failing checks are left alone from now on.
    pub(super) async fn leave_checks_alone(
        &mut self,
        discussion: &Discussion,
    ) -> Result<(), RunError> {
        let FailingChecks::LeftAlone(failing) = &discussion.checks else { return Ok(()) };
        let Ok(key) = CHECKS_KEY.parse::<ReplyKey>() else { return Ok(()) };
        if discussion.is_answered(&key) {
            return Ok(());
        }
        let names: Vec<String> = failing.iter().map(|check| code(&check.name)).collect();
        let words = format!(
            "These checks still fail after {} rounds of work on them: {}. They are left to people from \
             now on; comments are answered as before.",
            discussion.ledger.rounds,
            names.join(", ")
        );
        let text = self.job.redacted(&replies::signed(&words, &key));
        let url = self.review.request.url.clone();
        let sent = self.job.forge.comment(self.number(), &text).await;
        let (posted, all) = (0, 1);
        let failed =
            |source| RunError::ReplyNotPosted { url, posted, all, source: Box::new(source) };
        sent.map_err(failed)?;
        self.gave_up = Some(words);
        Ok(())
    }

    /// Tells the app of what was done, if anything was.
    pub(super) async fn complete(self, progress: &Progress) -> Result<Answered, RunError> {
        let (url, number) = (self.review.request.url.clone(), self.number());
        let pushed = self.work.as_ref().map(|work| format!("commit {} is pushed", work.commit));
        let endings = (!self.told.is_empty()).then(|| counted(&self.told));
        let parts: Vec<String> =
            [endings, pushed, self.gave_up.clone()].into_iter().flatten().collect();
        if parts.is_empty() {
            let summary = format!("Pull request #{number}: nothing there is ours to answer");
            return Ok(Answered { url, summary });
        }
        let summary = format!("Pull request #{number}: {}", parts.join("; "));
        let _phase = self.job.course().phase(Phase::Complete);
        if let Err(source) = self.reporter.renew_lease().await {
            return Err(RunError::of_lease(self.published(), source));
        }
        let said = self.told.into_iter().map(|(_, text)| text).chain(self.gave_up);
        let said = said.collect::<Vec<_>>().join("\n\n");
        let words = format!("{summary}\n\n{}", prompt::accomplished(&progress.answer));
        match self.reporter.complete(&words, (&url, number), Some(&said)).await {
            Ok(()) => Ok(Answered { url, summary }),
            Err(source) => Err(RunError::Completion { url, source }),
        }
    }

    fn published(&self) -> Published {
        match self.work {
            Some(_) => Published::Branch(self.checkout.branch().to_string()),
            None => Published::Nothing,
        }
    }

    /// Writes what is to be remembered into the pull request's text.
    async fn note(&self, ledger: &Ledger) -> Result<(), RunError> {
        let forge = &self.job.forge;
        let now = forge.reviewed(self.number()).await.map_err(RunError::ReviewUnread)?;
        if now.state == PullRequestState::Closed {
            let why = "it was closed or merged meanwhile".to_owned();
            return Err(RunError::ReviewRefused { number: self.number(), why });
        }
        let written = ledger.write_into(&now.body, &seal(self.job, self.review));
        let body = written.map_err(|error| RunError::ReviewNotNoted(Box::new(error)))?;
        let noted = forge.update_body(self.number(), &body).await;
        noted.map(drop).map_err(|error| RunError::ReviewNotNoted(Box::new(error)))
    }
}

/// How many threads ended in which way.
fn counted(told: &[(ThreadEnding, String)]) -> String {
    let endings = [
        (ThreadEnding::Fixed, "fixed"),
        (ThreadEnding::Answered, "answered"),
        (ThreadEnding::Declined, "declined"),
    ];
    let parts = endings.into_iter().filter_map(|(ending, word)| {
        let count = told.iter().filter(|(one, _)| *one == ending).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn facts(decision: &Decision, thread: &Thread, commit: Option<CommitId>) -> ThreadFacts {
    let author = thread.comments.iter().find(|comment| comment.id == decision.key.comment);
    let line = thread.place.as_ref().and_then(|place| place.line);
    ThreadFacts {
        id: decision.key.thread.clone(),
        author: author.map(|comment| comment.author.login.clone()).unwrap_or_default(),
        path: thread.place.as_ref().map(|place| place.path.clone()),
        line: line.map(|line| match line {
            Line::Old(line) | Line::New(line) => line,
        }),
        ending: decision.ending,
        commit: commit
            .filter(|_| decision.ending == ThreadEnding::Fixed)
            .map(|commit| commit.to_string()),
        reply: bounded(&decision.reply, REPLY_SHOWN_MAX),
        replied: false,
    }
}
