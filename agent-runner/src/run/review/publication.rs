//! What others see of a review: the note on the pull request, the push, the replies, the app's completion, in
//! that order.

use api_client::error_chain;
use api_client::outcome::{ThreadEnding, ThreadFacts};

use super::discussion::{Discussion, FailingChecks, seal};
use super::endings::Decision;
use super::key::ReplyKey;
use super::ledger::Ledger;
use super::replies::{self, Form};
use super::{Answered, UnderReview};
use crate::bounded::bounded;
use crate::checkout::Checkout;
use crate::course::{Phase, code};
use crate::forge::{
    Forge as _, ForgeError, Line, PullRequestState, Review as _, Thread, ThreadKind,
};
use crate::git::CommitId;
use crate::outcome::{Published, Replies, RunError};
use crate::prompt;
use crate::report::{Reporter, Step};
use crate::run::job::Job;
use crate::run::progress::Progress;
use crate::run::publication::Work;

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
    /// How many replies are posted, and how many there are to be, once that is known.
    replies: Option<(usize, usize)>,
    /// The endings of the threads that were answered and that the app does not know, each with what was said.
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
        Self {
            job,
            review,
            checkout,
            reporter,
            work: None,
            replies: None,
            told: Vec::new(),
            gave_up: None,
        }
    }

    const fn number(&self) -> u64 {
        self.review.request.number
    }

    /// Looks through what was changed, notes what was decided and that failing checks took a round, and pushes.
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
        let ledger = &mut discussion.ledger;
        // All of that is said by now.
        for said in std::mem::take(&mut ledger.decisions) {
            ledger.settle(said.key);
        }
        (ledger.commit, ledger.decisions) = (commit, decisions);
        if matches!(discussion.checks, FailingChecks::ForWorker(_)) {
            ledger.rounds = ledger.rounds.saturating_add(1);
        }
        job.keep_lease(Published::Nothing, self.reporter).await?;
        self.note(&discussion.ledger).await?;
        if let Some((work, lfs)) = lfs {
            job.send_lfs(checkout, &lfs).await?;
            job.keep_lease(Published::Nothing, self.reporter).await?;
            job.push(checkout, work).await?;
        }
        Ok(())
    }

    /// Says what was decided and is not said yet. What the forge refuses for good is settled: a thread that takes
    /// no reply keeps nothing else from being said, now and later.
    pub(super) async fn say(&mut self, discussion: &mut Discussion) -> Result<Said, RunError> {
        let Ledger { commit, decisions, .. } = discussion.ledger.clone();
        if decisions.is_empty() {
            return Ok(Said::Nothing);
        }
        let _phase = self.job.course().phase(Phase::Reply);
        self.replies = Some((0, decisions.len()));
        // More was said while the worker worked, and by another run perhaps the same.
        let read = discussion.read_again(&self.job.forge).await;
        read.map_err(|source| self.not_posted(source))?;
        let mut refused = None;
        for decision in decisions {
            if !discussion.is_answered(&decision.key) {
                let Some(thread) = discussion.thread_of(&decision.key) else { continue };
                self.job.keep_lease(self.published(), self.reporter).await?;
                if let Err(error) = self.reply(&decision, thread, commit).await {
                    if !error.is_refusal() {
                        return Err(self.not_posted(error));
                    }
                    let why = error_chain(&error);
                    self.job.course().warn(format!("no reply to {}: {why}", decision.key));
                    discussion.ledger.settle(decision.key);
                    refused = Some(error);
                    continue;
                }
            }
            self.replies = self.replies.map(|(posted, all)| (posted + 1, all));
            let text = format!("{}: {}", decision.key.thread, decision.reply);
            self.told.push((decision.ending, text));
        }
        match refused {
            None => Ok(Said::Something),
            Some(error) => self.settled(&discussion.ledger, error).await,
        }
    }

    /// Replies in the thread, or on the whole where the thread does not take it.
    async fn reply(
        &self,
        decision: &Decision,
        thread: &Thread,
        commit: Option<CommitId>,
    ) -> Result<(), ForgeError> {
        let (job, number) = (self.job, self.number());
        let text = |form| job.redacted(&replies::text(decision, commit, thread, form));
        let sent = match job.forge.reply(number, thread, &text(Form::InThread)).await {
            Err(ForgeError::NotFound { .. } | ForgeError::Refused { .. })
                if thread.kind != ThreadKind::Conversation || thread.address.is_some() =>
            {
                job.forge.comment(number, &text(Form::OnTheWhole)).await
            }
            sent => sent,
        };
        let facts = ThreadFacts { replied: sent.is_ok(), ..facts(decision, thread, commit) };
        job.course().note(|record| record.threads.push(facts));
        sent
    }

    /// Notes which replies are refused. That this can be noted shows that it is not the token that is refused.
    async fn settled(&self, ledger: &Ledger, error: ForgeError) -> Result<Said, RunError> {
        match self.note(ledger).await {
            Ok(()) => Ok(Said::Something),
            Err(not_noted) => {
                tracing::warn!("{}", error_chain(&not_noted));
                Err(self.not_posted(error))
            }
        }
    }

    fn not_posted(&self, source: ForgeError) -> RunError {
        let (posted, all) = self.replies.unwrap_or((0, 1));
        let url = self.review.request.url.clone();
        RunError::ReplyNotPosted { url, posted, all, source: Box::new(source) }
    }

    /// Says once that failing checks are left alone from now on.
    pub(super) async fn leave_checks_alone(
        &mut self,
        discussion: &Discussion,
    ) -> Result<(), RunError> {
        let FailingChecks::LeftAlone(failing) = &discussion.checks else { return Ok(()) };
        let Ok(key) = CHECKS_KEY.parse::<ReplyKey>() else { return Ok(()) };
        if discussion.is_answered(&key) || self.work.is_some() {
            // What was pushed may mend them.
            return Ok(());
        }
        self.job.keep_lease(self.published(), self.reporter).await?;
        let names: Vec<String> = failing.iter().map(|check| code(&check.name)).collect();
        let words = format!(
            "These checks were worked on and still fail: {}. They are left to people from now on; comments \
             are answered as before.",
            names.join(", ")
        );
        let text = self.job.redacted(&replies::signed(&words, &key));
        match self.job.forge.comment(self.number(), &text).await {
            Ok(()) => {}
            Err(error) if error.is_refusal() => {
                self.job
                    .course()
                    .warn(format!("{words} This is not said: {}", error_chain(&error)));
            }
            Err(error) => return Err(self.not_posted(error)),
        }
        self.gave_up = Some(words);
        Ok(())
    }

    /// Tells the app of what was done, if anything was; that it knows is noted, so that nothing of it is said again.
    pub(super) async fn complete(
        mut self,
        mut discussion: Discussion,
        progress: &Progress,
    ) -> Result<Answered, RunError> {
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
        let told = std::mem::take(&mut self.told);
        let said = told.into_iter().map(|(_, text)| text).chain(self.gave_up.take());
        let said = said.collect::<Vec<_>>().join("\n\n");
        let words = format!("{summary}\n\n{}", prompt::accomplished(&progress.answer));
        if let Err(source) = self.reporter.complete(&words, (&url, number), Some(&said)).await {
            return Err(RunError::Completion { url, source });
        }
        self.forget(&mut discussion.ledger).await;
        Ok(Answered { url, summary })
    }

    /// Takes out of the note what the app knows. Where that cannot be done, the next run completes once more.
    async fn forget(&self, ledger: &mut Ledger) {
        if ledger.decisions.is_empty() {
            return;
        }
        for told in std::mem::take(&mut ledger.decisions) {
            ledger.settle(told.key);
        }
        ledger.commit = None;
        if let Err(error) = self.note(ledger).await {
            tracing::warn!("{}", error_chain(&error));
        }
    }

    fn published(&self) -> Published {
        match (self.replies, &self.work) {
            (Some((posted, all)), _) => Published::Replies(Box::new(Replies {
                url: self.review.request.url.clone(),
                posted,
                all,
            })),
            (None, Some(_)) => Published::Branch(self.checkout.branch().to_string()),
            (None, None) => Published::Nothing,
        }
    }

    /// Writes what is to be remembered into the pull request's text.
    async fn note(&self, ledger: &Ledger) -> Result<(), RunError> {
        let forge = &self.job.forge;
        let not_noted = |error: ForgeError| RunError::ReviewNotNoted(Box::new(error));
        let now = forge.reviewed(self.number()).await.map_err(not_noted)?;
        if now.state == PullRequestState::Closed {
            return Err(RunError::ReviewOver { number: self.number() });
        }
        let written = ledger.write_into(&now.body, &seal(self.job, self.review));
        let body = written.map_err(|error| RunError::ReviewNotNoted(Box::new(error)))?;
        forge.update_body(self.number(), &body).await.map(drop).map_err(not_noted)
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
