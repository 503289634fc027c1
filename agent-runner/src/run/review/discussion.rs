//! All that there is to know of a review before anything is done: what was said, what an earlier run decided,
//! and the checks that fail.

use super::checks::{self, Failing, ROUNDS_MAX};
use super::gate::Gate;
use super::key::{ReplyKey, name_of};
use super::ledger::{Ledger, Seal};
use super::threads::Gathered;
use super::{UnderReview, prompt};
use crate::bounded::bounded;
use crate::checkout::Checkout;
use crate::forge::{AnyForge, ForgeError, Review as _, Thread};
use crate::outcome::RunError;
use crate::prompt::{instructions, quoted_instructions};
use crate::publish;
use crate::run::job::Job;
use crate::settings::Settings;

/// How much of the ticket that the pull request is for the worker sees, in bytes.
const TICKET_MAX: usize = 24 << 10;
/// How much of it a Director sees, in bytes.
const TICKET_SHOWN_MAX: usize = 8 << 10;

/// A review as it is on the forge.
#[derive(Debug)]
pub(super) struct Discussion {
    /// The pull request.
    number: u64,
    gate: Gate,
    /// All threads.
    pub(super) threads: Vec<Thread>,
    /// What becomes of them.
    pub(super) gathered: Gathered,
    /// What earlier runs noted.
    pub(super) ledger: Ledger,
    /// What becomes of the checks that fail on the head.
    pub(super) checks: FailingChecks,
}

/// What becomes of the checks that fail.
#[derive(Debug)]
pub(super) enum FailingChecks {
    /// There are none.
    None,
    /// The worker is told of them, for another round.
    ForWorker(Vec<Failing>),
    /// There were rounds enough.
    LeftAlone(Vec<Failing>),
}

impl Discussion {
    /// Reads all of it.
    pub(super) async fn read(
        job: &Job,
        review: &UnderReview,
        checkout: &Checkout,
    ) -> Result<Self, RunError> {
        let (forge, number) = (&job.forge, review.request.number);
        let own_login = forge.own_login().await.map_err(RunError::ReviewUnread)?;
        let threads = forge.discussion(number).await.map_err(RunError::ReviewUnread)?;
        let request = forge.reviewed(number).await.map_err(RunError::ReviewUnread)?;
        let gate = Gate { authors: job.settings.review_authors.clone(), own_login };
        let mut ledger = Ledger::read(&request.body, &seal(job, review));
        if let Some(commit) = ledger.commit {
            let there = publish::is_in_start(&job.git, checkout, commit).await;
            if !there.map_err(RunError::Commit)? {
                // It was not pushed, or somebody took it back: nothing of what was decided then holds.
                ledger = Ledger { commit: None, decisions: Vec::new(), ..ledger };
            }
        }
        let gathered = Gathered::of(threads.clone(), &gate, &ledger.settled);
        let head = checkout.start_commit();
        let failing = checks::failing(forge, head, &job.redaction).await;
        let checks = match failing.is_empty() {
            true => FailingChecks::None,
            false if ledger.rounds < ROUNDS_MAX => FailingChecks::ForWorker(failing),
            false => FailingChecks::LeftAlone(failing),
        };
        Ok(Self { number, gate, threads, gathered, ledger, checks })
    }

    /// Reads once more what is said by now.
    pub(super) async fn read_again(&mut self, forge: &AnyForge) -> Result<(), ForgeError> {
        self.threads = forge.discussion(self.number).await?;
        self.gathered = Gathered::of(self.threads.clone(), &self.gate, &self.ledger.settled);
        Ok(())
    }

    /// Whether there is anything for the worker.
    pub(super) fn wants_work(&self) -> bool {
        !self.gathered.asked.is_empty() || matches!(self.checks, FailingChecks::ForWorker(_))
    }

    /// Whether a reply of ours answers this, or what was said in the same thread after it; or whether it is settled
    /// otherwise.
    pub(super) fn is_answered(&self, key: &ReplyKey) -> bool {
        let newest = |one: &&ReplyKey| one.thread == key.thread && one.comment >= key.comment;
        self.gathered.answered.iter().find(newest).is_some()
    }

    /// The thread that a key is of.
    pub(super) fn thread_of(&self, key: &ReplyKey) -> Option<&Thread> {
        self.threads.iter().find(|thread| name_of(thread) == key.thread)
    }

    /// The prompt of the first turn.
    pub(super) fn prompt(&self, job: &Job, checkout: &Checkout) -> String {
        let instructions = instructions(checkout.path(), &job.redaction);
        let ticket = bounded(&job.assignment.task(), TICKET_MAX);
        let beside = format!("{}\n{ticket}\n", quoted_instructions(&instructions));
        prompt::review(&job.prompts, self.number, &self.gathered, self.failing(), &job.redaction)
            + &beside
    }

    /// The task of a Director.
    pub(super) fn task(&self, job: &Job) -> String {
        let ticket = bounded(&job.assignment.task(), TICKET_SHOWN_MAX);
        let asked = &self.gathered.asked;
        prompt::task(&job.prompts, self.number, asked, self.failing(), &job.redaction)
            + &format!("\n{ticket}\n")
    }

    fn failing(&self) -> &[Failing] {
        match &self.checks {
            FailingChecks::ForWorker(failing) => failing,
            FailingChecks::None | FailingChecks::LeftAlone(_) => &[],
        }
    }
}

/// The seal of what is noted on this pull request.
pub(super) fn seal(job: &Job, review: &UnderReview) -> Seal {
    let Settings { review_key, token, .. } = &job.settings;
    Seal::new(review_key, token, &review.request.url)
}
