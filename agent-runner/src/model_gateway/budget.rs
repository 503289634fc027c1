//! What the model may read, write and cost in one job, and the account of it.
//!
//! Invariant: the account never goes beyond its limit by more than what one answer was found to have
//! cost already; once the limit is reached, nothing is admitted any more.

use std::cmp::Ordering;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::usd::Usd;

/// Prices of a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pricing {
    /// Of tokens that the model reads.
    pub(crate) input: Usd,
    /// Of tokens that the model writes.
    pub(crate) output: Usd,
    /// What the job may cost; without one, costs are counted only.
    pub(crate) limit: Option<Usd>,
}

/// The limits of one job. Without any, its calls are counted only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Tokens read and written.
    pub(crate) tokens: Option<u64>,
    /// Prices, and with them a limit of what the job may cost.
    pub(crate) pricing: Option<Pricing>,
}

/// Tokens of one call or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tokens {
    /// Read by the model, those from a cache among them.
    pub(crate) input: u64,
    /// Those of them that came from a cache.
    pub(crate) cached: u64,
    /// Written by the model, also what it did not show.
    pub(crate) output: u64,
}

/// A limit, and what was spent where it is one of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// `WORKER_TOKEN_BUDGET`.
    Tokens(u64),
    /// `WORKER_MONEY_BUDGET`.
    Money {
        /// The limit.
        limit: Usd,
        /// What was spent.
        spent: Usd,
    },
}

/// The budget is used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exhausted {
    /// An answer came to the limit.
    Reached {
        /// The limit.
        limit: Limit,
        /// What was used, with the text that did not fit any more.
        used: Tokens,
    },
    /// A request has no room.
    NoRoom {
        /// The limit.
        limit: Limit,
        /// What was used.
        used: Tokens,
        /// What the request would have been, by estimate.
        expected: u64,
    },
    /// Another gateway between here and the provider says so, in its words.
    Elsewhere(String),
}

/// How an account stands after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// There is some left.
    Within,
    /// With this entry, nothing is left.
    Reached,
    /// This entry was too much.
    Exceeded,
}

/// All calls of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Totals {
    /// How many calls were let through.
    pub(crate) calls: u64,
    /// Their tokens.
    pub(crate) tokens: Tokens,
    /// What they cost, where prices are known.
    pub(crate) cost: Option<Usd>,
    /// Whether and how the budget came to its end.
    pub(crate) exhausted: Option<Exhausted>,
    /// How long the provider wants to be left alone, by its last answer.
    pub(crate) retry_after: Option<Duration>,
    /// What the last call came to, where that was no answer of the model.
    pub(crate) failing: Option<Failing>,
}

/// A call that brought no answer of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failing {
    /// The provider's status, where it gave one.
    pub(crate) status: Option<u64>,
    /// The same for people.
    pub(crate) why: String,
}

impl Totals {
    /// The calls that came after those.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let cost = self.cost.map(|cost| cost.minus(earlier.cost.unwrap_or_default()));
        Self {
            calls: self.calls.saturating_sub(earlier.calls),
            tokens: self.tokens.with(earlier.tokens, Tokens::default()),
            cost,
            exhausted: self.exhausted.clone(),
            retry_after: self.retry_after,
            failing: self.failing.clone(),
        }
    }
}

/// The account of a job.
#[derive(Debug)]
pub(super) struct Ledger {
    budget: Budget,
    totals: Mutex<Totals>,
    exhausted: CancellationToken,
}

impl Tokens {
    /// What counts against a budget.
    fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// These, with one entry replaced by another.
    fn with(self, before: Self, after: Self) -> Self {
        let replaced = |all: u64, before, after| all.saturating_sub(before).saturating_add(after);
        Self {
            input: replaced(self.input, before.input, after.input),
            cached: replaced(self.cached, before.cached, after.cached),
            output: replaced(self.output, before.output, after.output),
        }
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, cached, output } = self;
        write!(f, "{input} tokens in ({cached} cached), {output} out")
    }
}

impl Budget {
    /// What tokens cost, where prices are known.
    pub(super) fn cost(&self, tokens: Tokens) -> Option<Usd> {
        let pricing = self.pricing.as_ref()?;
        let input = pricing.input.of_tokens(tokens.input);
        let output = pricing.output.of_tokens(tokens.output);
        Some(input.plus(output))
    }

    /// How an account of these tokens stands, and at which limit if it is at one.
    fn judge(&self, used: Tokens) -> (Standing, Option<Limit>) {
        let of = |order| match order {
            Ordering::Less => Standing::Within,
            Ordering::Equal => Standing::Reached,
            Ordering::Greater => Standing::Exceeded,
        };
        let money = self.cost(used).zip(self.pricing.and_then(|pricing| pricing.limit));
        let money =
            money.map(|(spent, limit)| (of(spent.cmp(&limit)), Limit::Money { limit, spent }));
        let tokens = self.tokens.map(|limit| (of(used.total().cmp(&limit)), Limit::Tokens(limit)));
        let all = money.into_iter().chain(tokens);
        all.filter(|(standing, _)| *standing != Standing::Within)
            .max_by_key(|(standing, _)| *standing)
            .map_or((Standing::Within, None), |(standing, limit)| (standing, Some(limit)))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(limit) => write!(f, "WORKER_TOKEN_BUDGET allows {limit} tokens"),
            Self::Money { limit, spent } => {
                write!(f, "WORKER_MONEY_BUDGET allows {limit}, it came to {spent}")
            }
        }
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached { limit, used } => write!(f, "{limit}; used: {used}"),
            Self::NoRoom { limit, used, expected } => {
                write!(f, "{limit}; used: {used}; the next request has about {expected} more")
            }
            Self::Elsewhere(words) => f.write_str(words),
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} model calls: {}", self.calls, self.tokens)?;
        self.cost.map_or(Ok(()), |cost| write!(f, ", {cost}"))
    }
}

impl Ledger {
    pub(super) fn new(budget: Budget) -> Self {
        let exhausted = CancellationToken::new();
        Self { budget, totals: Mutex::default(), exhausted }
    }

    /// Cancelled at the moment the budget is used up.
    pub(super) const fn exhausted(&self) -> &CancellationToken {
        &self.exhausted
    }

    /// How the budget ended, if it did.
    pub(super) fn how(&self) -> Option<Exhausted> {
        self.lock().exhausted.clone()
    }

    /// What these tokens cost, where prices are known.
    pub(super) fn cost(&self, tokens: Tokens) -> Option<Usd> {
        self.budget.cost(tokens)
    }

    /// Enters a call that is expected to read so many tokens. It must leave room for an answer.
    ///
    /// # Errors
    /// When there is nothing left, or not enough.
    pub(super) fn admit(&self, expected: Tokens) -> Result<(), Exhausted> {
        let mut totals = self.lock();
        if let Some(exhausted) = &totals.exhausted {
            return Err(exhausted.clone());
        }
        let after = totals.tokens.with(Tokens::default(), expected);
        if let (_, Some(limit)) = self.budget.judge(after) {
            let used = totals.tokens;
            let how = Exhausted::NoRoom { limit, used, expected: expected.input };
            totals.exhausted = Some(how.clone());
            drop(totals);
            self.exhausted.cancel();
            return Err(how);
        }
        totals.calls += 1;
        totals.tokens = after;
        Ok(())
    }

    /// Replaces what is known of a call by what is known now.
    pub(super) fn revise(&self, before: Tokens, after: Tokens) -> Standing {
        let mut totals = self.lock();
        totals.tokens = totals.tokens.with(before, after);
        if totals.exhausted.is_some() {
            return Standing::Exceeded;
        }
        let used = totals.tokens;
        let (standing, limit) = self.budget.judge(used);
        totals.exhausted = limit.map(|limit| Exhausted::Reached { limit, used });
        drop(totals);
        if limit.is_some() {
            self.exhausted.cancel();
        }
        standing
    }

    /// Ends the budget because another gateway did.
    pub(super) fn end(&self, words: String) {
        self.lock().exhausted.get_or_insert(Exhausted::Elsewhere(words));
        self.exhausted.cancel();
    }

    /// Notes for how long the provider wants to be left alone.
    pub(super) fn note_wait(&self, wait: Option<Duration>) {
        self.lock().retry_after = wait;
    }

    /// Notes what the last call came to.
    pub(super) fn note_end(&self, failing: Option<Failing>) {
        self.lock().failing = failing;
    }

    /// All calls so far.
    pub(super) fn totals(&self) -> Totals {
        let totals = self.lock().clone();
        Totals { cost: self.budget.cost(totals.tokens), ..totals }
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
