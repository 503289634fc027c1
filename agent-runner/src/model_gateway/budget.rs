//! What the models of a job may read, write and cost, and how an account stands against that. Pure.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// What this run of it may cost.
    pub(crate) left: Option<Usd>,
}

/// Prices of a million tokens of the Director's model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Price {
    /// Of tokens that the model reads.
    pub(crate) input: Usd,
    /// Of tokens that the model writes.
    pub(crate) output: Usd,
}

/// The limits of one job. Without any, its calls are counted only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Tokens read and written.
    pub(crate) tokens: Option<u64>,
    /// Those that this run of the job may take.
    pub(crate) tokens_left: Option<u64>,
    /// Prices, and with them a limit of what the job may cost.
    pub(crate) pricing: Option<Pricing>,
    /// Those of the Director's model, where there is a Director and costs are counted.
    pub(crate) director: Option<Price>,
}

/// Who makes a call: both have one budget, and each its own prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payer {
    /// The coding CLI.
    Worker,
    /// The Director.
    Director,
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
    /// The time of the job's turns is over.
    Time {
        /// The limit, in seconds.
        seconds: u64,
        /// What was used until then.
        used: Tokens,
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

/// All calls that a worker made.
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
    /// Whether the last call tells of the provider, the way to it or the key, and not of what was asked or of our
    /// budget, for which calls are refused and broken off as well.
    pub(crate) fn is_outage(&self) -> bool {
        let Some(Failing { status, .. }) = &self.failing else { return false };
        self.exhausted.is_none()
            && status.is_none_or(|status| matches!(status, 401..=403 | 408 | 429 | 500..))
    }

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

/// All calls that a Director made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DirectorTotals {
    /// How many calls there were.
    pub(crate) calls: u64,
    /// Their tokens.
    pub(crate) tokens: Tokens,
    /// What they cost, where prices are known.
    pub(crate) cost: Option<Usd>,
}

/// What an account begins with: the calls of earlier tries of the same job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// By tries whose outcome told of it: it counts for the budget, and is told no more.
    pub(super) told: Used,
    /// How many calls the worker made, and their tokens.
    pub(crate) worker_calls: u64,
    pub(crate) worker: Tokens,
    /// The same of the Director.
    pub(crate) director_calls: u64,
    pub(crate) director: Tokens,
}

impl Spent {
    /// The same once an outcome told of it.
    pub(crate) fn once_told(self) -> Self {
        let used = Used { worker: self.worker, director: self.director };
        Self { told: self.told.with(used), ..Self::default() }
    }

    /// So many calls of the worker.
    #[cfg(test)]
    pub(crate) fn of_calls(worker_calls: u64) -> Self {
        Self { worker_calls, ..Self::default() }
    }
}

/// Tokens by who used them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Used {
    pub(super) worker: Tokens,
    pub(super) director: Tokens,
}

impl Used {
    pub(super) fn all(self) -> Tokens {
        self.worker.with(Tokens::default(), self.director)
    }

    pub(super) fn with(self, more: Self) -> Self {
        self.and(Payer::Worker, more.worker).and(Payer::Director, more.director)
    }

    pub(super) fn and(self, payer: Payer, more: Tokens) -> Self {
        let with = |tokens: Tokens| tokens.with(Tokens::default(), more);
        match payer {
            Payer::Worker => Self { worker: with(self.worker), ..self },
            Payer::Director => Self { director: with(self.director), ..self },
        }
    }
}

impl Tokens {
    /// What counts against a budget.
    pub(crate) fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// These, with one entry replaced by another.
    pub(super) fn with(self, before: Self, after: Self) -> Self {
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
    /// The limits of a run that begins with an account of these: what is left for the run is beside them.
    pub(crate) fn beside(self, spent: Spent) -> Self {
        let before = spent.once_told().told;
        let tokens = self.tokens_left.map(|left| left.saturating_add(before.all().total()));
        let cost = self.cost_of_both(before).unwrap_or_default();
        let pricing = self.pricing.map(|pricing| {
            let left = pricing.left.map(|left| left.plus(cost));
            Pricing { limit: pricing.limit.into_iter().chain(left).min(), left: None, ..pricing }
        });
        let tokens = self.tokens.into_iter().chain(tokens).min();
        Self { tokens, tokens_left: None, pricing, ..self }
    }

    /// What tokens cost, where prices are known.
    pub(super) fn cost(&self, payer: Payer, tokens: Tokens) -> Option<Usd> {
        let price = match payer {
            Payer::Worker => {
                self.pricing.map(|Pricing { input, output, .. }| Price { input, output })
            }
            Payer::Director => self.director,
        }?;
        Some(price.input.of_tokens(tokens.input).plus(price.output.of_tokens(tokens.output)))
    }

    /// What both cost together, as far as prices are known.
    fn cost_of_both(&self, used: Used) -> Option<Usd> {
        let worker = self.cost(Payer::Worker, used.worker)?;
        Some(worker.plus(self.cost(Payer::Director, used.director).unwrap_or_default()))
    }

    /// How an account of these tokens stands, and at which limit if it is at one.
    pub(super) fn judge(&self, used: Used) -> (Standing, Option<Limit>) {
        let of = |order| match order {
            Ordering::Less => Standing::Within,
            Ordering::Equal => Standing::Reached,
            Ordering::Greater => Standing::Exceeded,
        };
        let money = self.cost_of_both(used).zip(self.pricing.and_then(|pricing| pricing.limit));
        let money =
            money.map(|(spent, limit)| (of(spent.cmp(&limit)), Limit::Money { limit, spent }));
        let tokens = self.tokens;
        let tokens = tokens.map(|limit| (of(used.all().total().cmp(&limit)), Limit::Tokens(limit)));
        let all = money.into_iter().chain(tokens);
        all.filter(|(standing, _)| *standing != Standing::Within)
            .max_by_key(|(standing, _)| *standing)
            .map_or((Standing::Within, None), |(standing, limit)| (standing, Some(limit)))
    }
}

impl Budget {
    /// A limit with what these tokens cost, which may be less than what brought it to its end.
    pub(super) fn as_of(&self, limit: Limit, used: Used) -> Limit {
        match limit {
            Limit::Tokens(limit) => Limit::Tokens(limit),
            Limit::Money { limit, spent } => {
                Limit::Money { limit, spent: self.cost_of_both(used).unwrap_or(spent) }
            }
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(limit) => write!(f, "WORKER_TOKEN_BUDGET allows {limit} tokens"),
            Self::Money { limit, spent } => {
                write!(f, "WORKER_MONEY_BUDGET allows {limit}, spent are {spent}")
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
            Self::Time { seconds, used } => {
                write!(f, "AGENT_TIME_BUDGET_SEC allows {seconds} s; used until then: {used}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_our_budget_ended_is_no_outage_and_one_that_the_provider_ended_is() {
        let is_outage = |status, exhausted| {
            let failing = Some(Failing { status, why: "x".to_owned() });
            Totals { failing, exhausted, ..Totals::default() }.is_outage()
        };
        let (limit, used) = (Limit::Tokens(10), Tokens::default());
        assert!(!is_outage(None, Some(Exhausted::Reached { limit, used })), "cut off in a call");
        assert!(!is_outage(None, Some(Exhausted::NoRoom { limit, used, expected: 9 })));
        assert!(!is_outage(Some(503), Some(Exhausted::Time { seconds: 1, used })));
        assert!(!is_outage(Some(429), Some(Exhausted::Elsewhere("used up".to_owned()))));
        assert!(is_outage(None, None) && is_outage(Some(401), None) && is_outage(Some(503), None));
        assert!(!is_outage(Some(400), None) && !Totals::default().is_outage());
    }

    #[test]
    fn what_is_left_for_a_run_is_beside_what_earlier_tries_took() {
        let usd = |text: &str| text.parse::<Usd>().unwrap();
        let pricing = Pricing {
            input: usd("1"),
            output: usd("1"),
            limit: Some(usd("9")),
            left: Some(usd("2")),
        };
        let budget = Budget {
            tokens: Some(9_000_000),
            tokens_left: Some(2_000_000),
            pricing: Some(pricing),
            director: None,
        };
        let took =
            |input| Spent { worker: Tokens { input, ..Tokens::default() }, ..Spent::default() };
        for (input, tokens, money) in
            [(0, 2_000_000, "2"), (3_000_000, 5_000_000, "5"), (8_000_000, 9_000_000, "9")]
        {
            for spent in [took(input), took(input).once_told()] {
                let run = budget.beside(spent);
                assert_eq!(run.tokens, Some(tokens), "{input}");
                assert_eq!(run.pricing.unwrap().limit, Some(usd(money)), "{input}");
            }
        }
        assert_eq!(Budget::default().beside(took(5)), Budget::default());
    }
}
