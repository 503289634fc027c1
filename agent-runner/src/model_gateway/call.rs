//! One call of the model: what is known of its tokens, in the account and in the log.
//!
//! Invariant: each call is one line of the log, whatever became of it, and no content is in it.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::budget::{Exhausted, Failing, Payer, Standing, Tokens};
use super::ledger::Ledger;
use super::provider::Role;
use super::refusal::Refusal;
use super::request::Outgoing;
use super::usage::{Reading, tokens_of};
use super::wire::Route;
use crate::bounded::bounded;

/// Longest name of a model in the log, in bytes.
const MODEL_MAX: usize = 100;

/// A call that was let through.
#[derive(Debug)]
pub(super) struct Call {
    ledger: Arc<Ledger>,
    route: Route,
    model: String,
    provider: Role,
    begun: Instant,
    status: Option<StatusCode>,
    /// How long the provider wants to be left alone.
    wait: Option<Duration>,
    end: End,
    /// What was read and written by the provider's last word on it.
    reported: Tokens,
    /// What was written since, in tokens as we count them.
    since: u64,
    /// What the account has of this call.
    entered: Tokens,
    /// What is entered as written where the caller leaves before anyone says.
    answer: u64,
    _turn: OwnedSemaphorePermit,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The caller did not wait for the end.
    Left,
    /// The whole answer was passed on.
    Whole,
    /// We ended it.
    Refused(String),
    /// The provider broke off.
    BrokeOff,
}

impl Call {
    /// Enters a call in the account, with what it is expected to read. It has its turn until it ends.
    ///
    /// # Errors
    /// When the budget has no room for it.
    pub(super) fn begin(
        ledger: &Arc<Ledger>,
        route: Route,
        outgoing: &Outgoing,
        turn: OwnedSemaphorePermit,
    ) -> Result<Self, Exhausted> {
        let Outgoing { model, expected, answer, .. } = outgoing;
        let entered = match route.generates() {
            true => Tokens { input: *expected, ..Tokens::default() },
            false => Tokens::default(),
        };
        if route.generates() {
            ledger.admit(Payer::Worker, entered)?;
        }
        ledger.shut_outs().call_begins();
        Ok(Self {
            ledger: Arc::clone(ledger),
            route,
            model: bounded(model, MODEL_MAX),
            provider: Role::Main,
            begun: Instant::now(),
            status: None,
            wait: None,
            end: End::Left,
            reported: Tokens::default(),
            since: 0,
            entered,
            answer: *answer,
            _turn: turn,
        })
    }

    /// What is asked.
    pub(super) const fn route(&self) -> &Route {
        &self.route
    }

    /// Notes the provider's status, and how long it wants to be left alone. What is refused there costs
    /// nothing.
    pub(super) fn answered(&mut self, status: StatusCode, retry_after: Option<Duration>) {
        (self.status, self.wait) = (Some(status), retry_after);
        self.ledger.note_wait(retry_after);
        if !status.is_success() {
            self.costs_nothing();
        }
    }

    /// Notes that another provider is asked the same.
    pub(super) fn goes_to(&mut self, provider: Role, expected: u64) {
        (self.provider, self.status, self.wait) = (provider, None, None);
        if self.route.generates() {
            self.enter(Tokens { input: expected, ..Tokens::default() });
        }
    }

    /// Takes back what was expected: the model was not reached.
    pub(super) fn costs_nothing(&mut self) {
        self.enter(Tokens::default());
    }

    /// Takes in what an event says.
    pub(super) fn hear(&mut self, reading: Reading) -> Standing {
        if !self.route.generates() {
            return Standing::Within;
        }
        if let Some(model) = reading.model {
            self.model = bounded(&model, MODEL_MAX);
        }
        let mut reported = self.reported;
        // Some providers leave out later what they said before: nothing becomes less.
        reported.input = reported.input.max(reading.input.unwrap_or(0));
        reported.cached = reported.cached.max(reading.cached.unwrap_or(0));
        match reading.output {
            Some(output) => (reported.output, self.since) = (reported.output.max(output), 0),
            None => self.since = self.since.saturating_add(tokens_of(reading.written)),
        }
        self.reported = reported;
        self.enter(Tokens {
            input: if reported.input > 0 { reported.input } else { self.entered.input },
            cached: reported.cached,
            output: reported.output.saturating_add(self.since),
        })
    }

    /// Notes how it ends.
    pub(super) fn ends(&mut self, end: End) {
        self.end = end;
    }

    /// Notes that it was refused here.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.end = End::Refused(refusal.message.clone());
    }

    /// What it came to, where that was no answer.
    fn failing(&self) -> Option<Failing> {
        let refused = self.status.filter(|status| !status.is_success());
        match (&self.end, refused) {
            (End::Refused(why), _) => Some(Failing { status: None, why: why.clone() }),
            (_, Some(status)) => Some(Failing {
                status: Some(status.as_u16().into()),
                why: format!("the model endpoint answers {status}"),
            }),
            (End::BrokeOff, None) => {
                let why = "the model endpoint breaks off in the middle of its answers".to_owned();
                Some(Failing { status: None, why })
            }
            (End::Left | End::Whole, None) => None,
        }
    }

    fn enter(&mut self, now: Tokens) -> Standing {
        let standing = self.ledger.revise(Payer::Worker, self.entered, now);
        self.entered = now;
        standing
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // The provider goes on, and asks for its money.
        let unheard = self.entered.output == 0 && self.entered.input > 0;
        if self.end == End::Left && unheard && self.route.generates() {
            self.enter(Tokens { output: self.answer, ..self.entered });
        }
        if self.route.generates() {
            self.ledger.note_end(self.failing());
        }
        let is_limit = self.status == Some(StatusCode::TOO_MANY_REQUESTS);
        self.ledger.shut_outs().call_ends(self.wait.filter(|_| is_limit));
        let Tokens { input, cached, output } = self.entered;
        let cost = self.ledger.cost(Payer::Worker, self.entered).map(tracing::field::display);
        let (wire, model) = (self.route.wire.name(), self.model.as_str());
        let provider = tracing::field::display(self.provider);
        let status = self.status.map(|status| status.as_u16());
        let ms = self.begun.elapsed().as_millis();
        let end = match &self.end {
            End::Left => "the caller left",
            End::Whole => "whole",
            End::Refused(why) => why,
            End::BrokeOff => "the provider broke off",
        };
        tracing::info!(
            wire,
            model,
            provider,
            status,
            input,
            cached,
            output,
            cost,
            ms,
            end,
            "model call"
        );
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::Method;
    use tokio::sync::Semaphore;

    use super::super::budget::Budget;
    use super::*;

    fn call(ledger: &Arc<Ledger>) -> Call {
        let route = Route::of("", &Method::POST, "/v1/messages").unwrap();
        let outgoing = Outgoing {
            model: "m".to_owned(),
            expected: 5000,
            answer: 9,
            body: Bytes::new(),
            added_usage: false,
        };
        let turn = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Call::begin(ledger, route, &outgoing, turn).unwrap()
    }

    #[test]
    fn what_the_last_call_came_to_is_known_where_it_was_no_answer() {
        let ledger = Arc::new(Ledger::new(Budget::default()));
        let ended = |end: End, status: Option<StatusCode>| {
            let mut call = call(&ledger);
            (call.end, call.status) = (end, status);
            drop(call);
            ledger.totals().failing
        };
        let limited = ended(End::Whole, Some(StatusCode::TOO_MANY_REQUESTS)).unwrap();
        assert_eq!(limited.status, Some(429));
        let unreachable = ended(End::Refused("nobody listens there".to_owned()), None).unwrap();
        assert_eq!((unreachable.status, unreachable.why.as_str()), (None, "nobody listens there"));
        assert!(ended(End::BrokeOff, Some(StatusCode::OK)).is_some());
        assert_eq!(ended(End::Left, None), None, "it may have been about to answer");
        assert_eq!(ended(End::Whole, Some(StatusCode::OK)), None);
    }

    #[test]
    fn what_was_said_once_does_not_become_less() {
        let ledger = Arc::new(Ledger::new(Budget::default()));
        let mut call = call(&ledger);
        let said = |input, cached, output, written| Reading {
            model: None,
            input,
            cached,
            output,
            written,
        };
        let course = [
            (said(None, None, None, 4), (5000, 0, 1)),
            (said(Some(900), Some(200), None, 0), (900, 200, 1)),
            (said(None, None, None, 7), (900, 200, 3)),
            (said(Some(200), Some(200), Some(9), 0), (900, 200, 9)),
            (said(None, None, None, 4), (900, 200, 10)),
            (said(None, None, Some(2), 0), (900, 200, 9)),
        ];
        for (reading, (input, cached, output)) in course {
            assert_eq!(call.hear(reading), Standing::Within);
            assert_eq!(ledger.totals().tokens, Tokens { input, cached, output });
        }
    }
}
