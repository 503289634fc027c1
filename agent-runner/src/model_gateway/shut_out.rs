//! A limit of the provider that a coding CLI waits out without a word: by its silence alone nobody could tell it from
//! a model that thinks, but the gateway knows what the last call was told.
//!
//! Invariant: nobody is shut out while a call is under way, or after one that came to no limit.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long a caller that is shut out may give no sign, neither a call nor a line: one that tries again by itself
/// does so sooner, and one that wants to end has ended.
const SIGN_LIMIT: Duration = Duration::from_secs(60);

/// What the calls of a gateway came to.
#[derive(Debug, Default)]
pub(super) struct ShutOuts(watch::Sender<Calls>);

/// Watches those calls, for whoever runs the caller.
#[derive(Clone, Debug)]
pub(crate) struct ShutOutWatch {
    calls: watch::Receiver<Calls>,
    longer_than: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    under_way: usize,
    /// What the one that ended last was told.
    last: Option<Limit>,
}

/// A provider's limit.
#[derive(Clone, Copy, Debug)]
struct Limit {
    told: Instant,
    wait: Duration,
}

impl ShutOuts {
    /// Notes that a call is made.
    pub(super) fn call_begins(&self) {
        self.0.send_modify(|calls| calls.under_way += 1);
    }

    /// Notes that a call is over, and for how long the provider lets nobody in, where it refused the call for that.
    pub(super) fn call_ends(&self, wait: Option<Duration>) {
        let told = Instant::now();
        self.0.send_modify(|calls| {
            calls.under_way = calls.under_way.saturating_sub(1);
            calls.last = wait.map(|wait| Limit { told, wait });
        });
    }

    /// Watches for limits that hold for longer than that.
    pub(super) fn watch(&self, longer_than: Duration) -> ShutOutWatch {
        ShutOutWatch { calls: self.0.subscribe(), longer_than }
    }
}

impl ShutOutWatch {
    /// Of a program that calls no model.
    pub(crate) fn never() -> Self {
        let (_, calls) = watch::channel(Calls::default());
        Self { calls, longer_than: Duration::MAX }
    }

    /// Of a provider that has just shut everybody out for so long.
    #[cfg(test)]
    pub(crate) fn shut_out_for(wait: Duration) -> Self {
        let calls = ShutOuts::default();
        calls.call_ends(Some(wait));
        calls.watch(Duration::ZERO)
    }

    /// Waits until the caller has been shut out for a minute without a sign; its last line was at `last_line`. For how
    /// much longer it is shut out then. Nothing is lost where this is dropped and asked again.
    pub(crate) async fn without_a_sign_since(&mut self, last_line: Instant) -> Duration {
        loop {
            let Some(Limit { told, wait }) = self.limit() else {
                self.changed().await;
                continue;
            };
            let given_up = told.max(last_line) + SIGN_LIMIT;
            let left = wait.saturating_sub(given_up - told);
            tokio::select! {
                () = self.changed() => {}
                () = sleep_until(given_up), if !left.is_zero() => return left,
            }
        }
    }

    fn limit(&mut self) -> Option<Limit> {
        let calls = *self.calls.borrow_and_update();
        calls.last.filter(|limit| calls.under_way == 0 && limit.wait > self.longer_than)
    }

    async fn changed(&mut self) {
        if self.calls.changed().await.is_err() {
            // The gateway is closed: nothing more is known.
            pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    fn limited(minutes: u32) -> (ShutOuts, ShutOutWatch) {
        let calls = ShutOuts::default();
        let watch = calls.watch(5 * MINUTE);
        calls.call_begins();
        calls.call_ends(Some(minutes * MINUTE));
        (calls, watch)
    }

    /// Whether it is given up within a day.
    async fn is_given_up(mut watch: ShutOutWatch) -> bool {
        timeout(1_440 * MINUTE, watch.without_a_sign_since(Instant::now())).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_for_a_minute_after_a_long_limit_is_no_thinking() {
        let (_calls, mut watch) = limited(90);
        let began = Instant::now();
        assert_eq!(watch.without_a_sign_since(began).await, 89 * MINUTE);
        assert_eq!(began.elapsed(), MINUTE);
        // A line counts as a sign from its time on.
        assert_eq!(watch.without_a_sign_since(Instant::now()).await, 88 * MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_waited_for_anyway_and_an_answer_without_one_end_nothing() {
        let (_calls, short) = limited(5);
        assert!(!is_given_up(short).await);
        let (calls, answered) = limited(90);
        calls.call_begins();
        calls.call_ends(None);
        assert!(!is_given_up(answered).await);
        assert!(!is_given_up(ShutOutWatch::never()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_further_call_is_a_sign_for_as_long_as_it_takes() {
        let (calls, mut watch) = limited(90);
        advance(59 * SECOND).await;
        calls.call_begins();
        let early = timeout(30 * MINUTE, watch.without_a_sign_since(Instant::now())).await;
        assert!(early.is_err(), "{early:?}");
        calls.call_ends(Some(60 * MINUTE));
        assert_eq!(watch.without_a_sign_since(Instant::now()).await, 59 * MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_an_earlier_turn_that_is_over_ends_none() {
        let (_calls, watch) = limited(6);
        advance(6 * MINUTE).await;
        assert!(!is_given_up(watch).await);
    }
}
