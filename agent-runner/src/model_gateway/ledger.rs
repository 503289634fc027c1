//! The account of a job: the calls of its worker and of its Director.
//!
//! Invariant: the account never goes beyond its limit by more than what one answer was found to have
//! cost already; once the limit is reached, nothing is admitted any more.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::budget::{
    Budget, DirectorTotals, Exhausted, Failing, Payer, Spent, Standing, Tokens, Totals, Used,
};
use super::shut_out::ShutOuts;
use super::usd::Usd;

/// The account of a job.
#[derive(Debug)]
pub(super) struct Ledger {
    budget: Budget,
    entries: Mutex<Entries>,
    exhausted: CancellationToken,
    /// Told of each entry.
    changed: watch::Sender<()>,
    shut_outs: ShutOuts,
}

/// What is in the account.
#[derive(Debug, Default)]
struct Entries {
    /// What earlier tries of the job spent and told: it counts for the budget alone.
    told: Used,
    worker: Totals,
    director: DirectorTotals,
}

impl Entries {
    fn used(&self) -> Used {
        self.told.with(Used { worker: self.worker.tokens, director: self.director.tokens })
    }

    const fn tokens_of(&mut self, payer: Payer) -> &mut Tokens {
        match payer {
            Payer::Worker => &mut self.worker.tokens,
            Payer::Director => &mut self.director.tokens,
        }
    }

    const fn calls_of(&mut self, payer: Payer) -> &mut u64 {
        match payer {
            Payer::Worker => &mut self.worker.calls,
            Payer::Director => &mut self.director.calls,
        }
    }
}

impl Ledger {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            budget,
            entries: Mutex::default(),
            exhausted: CancellationToken::new(),
            changed: watch::Sender::default(),
            shut_outs: ShutOuts::default(),
        }
    }

    /// Takes in what was spent before the first call.
    pub(super) fn begin_with(&self, spent: Spent) {
        let mut entries = self.lock();
        entries.told = spent.told;
        (entries.worker.calls, entries.worker.tokens) = (spent.worker_calls, spent.worker);
        (entries.director.calls, entries.director.tokens) = (spent.director_calls, spent.director);
    }

    /// What was spent so far, of calls that are under way as much as is known.
    pub(super) fn spent(&self) -> Spent {
        let entries = self.lock();
        Spent {
            told: entries.told,
            worker_calls: entries.worker.calls,
            worker: entries.worker.tokens,
            director_calls: entries.director.calls,
            director: entries.director.tokens,
        }
    }

    /// Marked at each entry.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What the worker's calls came to, as far as a limit shuts it out.
    pub(super) const fn shut_outs(&self) -> &ShutOuts {
        &self.shut_outs
    }

    /// Cancelled at the moment the budget is used up.
    pub(super) const fn exhausted(&self) -> &CancellationToken {
        &self.exhausted
    }

    /// How the budget ended, if it did.
    pub(super) fn how(&self) -> Option<Exhausted> {
        self.lock().worker.exhausted.clone()
    }

    /// What these tokens cost, where prices are known.
    pub(super) fn cost(&self, payer: Payer, tokens: Tokens) -> Option<Usd> {
        self.budget.cost(payer, tokens)
    }

    /// Enters a call that is expected to read so many tokens. It must leave room for an answer.
    ///
    /// # Errors
    /// When there is nothing left, or not enough.
    pub(super) fn admit(&self, payer: Payer, expected: Tokens) -> Result<(), Exhausted> {
        let mut entries = self.lock();
        if let Some(exhausted) = &entries.worker.exhausted {
            return Err(exhausted.clone());
        }
        let used = entries.used();
        if let (_, Some(limit)) = self.budget.judge(used.and(payer, expected)) {
            let limit = self.budget.as_of(limit, used);
            let how = Exhausted::NoRoom { limit, used: used.all(), expected: expected.input };
            entries.worker.exhausted = Some(how.clone());
            drop(entries);
            self.exhausted.cancel();
            return Err(how);
        }
        *entries.calls_of(payer) += 1;
        let tokens = entries.tokens_of(payer);
        *tokens = tokens.with(Tokens::default(), expected);
        drop(entries);
        self.changed.send_replace(());
        Ok(())
    }

    /// Replaces what is known of a call by what is known now.
    pub(super) fn revise(&self, payer: Payer, before: Tokens, after: Tokens) -> Standing {
        let mut entries = self.lock();
        let tokens = entries.tokens_of(payer);
        *tokens = tokens.with(before, after);
        self.changed.send_replace(());
        if entries.worker.exhausted.is_some() {
            return Standing::Exceeded;
        }
        let used = entries.used();
        let (standing, limit) = self.budget.judge(used);
        let used = used.all();
        entries.worker.exhausted = limit.map(|limit| Exhausted::Reached { limit, used });
        drop(entries);
        if limit.is_some() {
            self.exhausted.cancel();
        }
        standing
    }

    /// Ends the budget because the time of the turns is over.
    pub(super) fn end_of_time(&self, limit: Duration) {
        let mut entries = self.lock();
        let used = entries.used().all();
        let how = Exhausted::Time { seconds: limit.as_secs(), used };
        entries.worker.exhausted.get_or_insert(how);
        drop(entries);
        self.exhausted.cancel();
    }

    /// Ends the budget because another gateway did.
    pub(super) fn end(&self, words: String) {
        self.lock().worker.exhausted.get_or_insert(Exhausted::Elsewhere(words));
        self.exhausted.cancel();
    }

    /// Notes for how long the provider wants to be left alone.
    pub(super) fn note_wait(&self, wait: Option<Duration>) {
        self.lock().worker.retry_after = wait;
    }

    /// For how long the provider wants to be left alone, by its last answer.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.lock().worker.retry_after
    }

    /// Notes what the last call came to.
    pub(super) fn note_end(&self, failing: Option<Failing>) {
        self.lock().worker.failing = failing;
    }

    /// All calls of the worker so far.
    pub(super) fn totals(&self) -> Totals {
        let totals = self.lock().worker.clone();
        Totals { cost: self.budget.cost(Payer::Worker, totals.tokens), ..totals }
    }

    /// All calls of the Director so far.
    pub(super) fn of_director(&self) -> DirectorTotals {
        let totals = self.lock().director;
        DirectorTotals { cost: self.budget.cost(Payer::Director, totals.tokens), ..totals }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
