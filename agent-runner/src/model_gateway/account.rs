//! The job's account for calls that do not come through the gateway: those of the Director.
//!
//! Invariant: a call is in the account before it is made. What is not known of one that broke off stays as
//! it was expected: the provider goes on, and asks for its money.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::Wire;
use super::budget::{DirectorTotals, Exhausted, Payer, Spent, Tokens};
use super::ledger::Ledger;
use super::usage::{Reading, tokens_of, tokens_of_request};

/// The account of a job. Copies share it.
#[derive(Clone, Debug)]
pub(crate) struct Account(Arc<Ledger>);

/// A call of the Director in the account.
#[derive(Debug)]
#[must_use]
pub(crate) struct Entry {
    ledger: Arc<Ledger>,
    entered: Tokens,
}

impl Account {
    pub(super) fn of(ledger: &Arc<Ledger>) -> Self {
        Self(Arc::clone(ledger))
    }

    /// An account that belongs to no gateway.
    #[cfg(test)]
    pub(crate) fn alone(budget: super::Budget) -> Self {
        Self(Arc::new(Ledger::new(budget)))
    }

    /// Enters a request of the Director, with what it is expected to have.
    ///
    /// # Errors
    /// When the budget has no room for it.
    pub(crate) fn enter(&self, request: &Value) -> Result<Entry, Exhausted> {
        let size = request.to_string().len();
        let entered = Tokens { input: tokens_of_request(size, request), ..Tokens::default() };
        self.0.admit(Payer::Director, entered)?;
        Ok(Entry { ledger: Arc::clone(&self.0), entered })
    }

    /// How the budget ended, if it did.
    pub(crate) fn exhausted(&self) -> Option<Exhausted> {
        self.0.how()
    }

    /// Ends the budget: the time is over.
    pub(crate) fn end_of_time(&self, limit: Duration) {
        self.0.end_of_time(limit);
    }

    /// Takes in what earlier tries of the job spent, before the first call.
    pub(crate) fn begin_with(&self, spent: Spent) {
        self.0.begin_with(spent);
    }

    /// What both spent so far, earlier tries of the job included.
    pub(crate) fn spent(&self) -> Spent {
        self.0.spent()
    }

    /// Marked whenever something was spent.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changes()
    }

    /// All calls of the Director so far.
    pub(crate) fn of_director(&self) -> DirectorTotals {
        self.0.of_director()
    }
}

impl Entry {
    /// Takes it back: the model was not reached, or refused the request.
    pub(crate) fn costs_nothing(mut self) {
        self.revise(Tokens::default());
    }

    /// Takes in what the answer says of its tokens; where it says nothing, it is counted by its size.
    pub(crate) fn answered(mut self, wire: Wire, answer: &Value, size: usize) {
        let reading = Reading::of(wire, answer);
        let now = Tokens {
            input: reading.input.unwrap_or(self.entered.input),
            cached: reading.cached.unwrap_or(0),
            output: reading.output.unwrap_or_else(|| tokens_of(size)),
        };
        self.revise(now);
        let Tokens { input, cached, output } = now;
        let cost = self.ledger.cost(Payer::Director, now).map(tracing::field::display);
        tracing::info!(input, cached, output, cost, "director call");
    }

    fn revise(&mut self, now: Tokens) {
        // That it came to the limit is known at the next call: this answer is paid for, and used.
        let _standing = self.ledger.revise(Payer::Director, self.entered, now);
        self.entered = now;
    }
}
