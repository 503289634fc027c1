//! Slots: how many jobs may run at once. A slot is reserved before a claim is asked for, and given
//! back when the job has ended. The limit may change while jobs run; a lower one takes effect as
//! jobs end, and stops none.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::watch;

/// The slots of one coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    state: Arc<watch::Sender<State>>,
}

/// The right to run one job; dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Slot {
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    limit: NonZeroUsize,
    used: usize,
}

impl Slots {
    /// This many slots, all free.
    pub(crate) fn new(limit: NonZeroUsize) -> Self {
        Self { state: Arc::new(watch::Sender::new(State { limit, used: 0 })) }
    }

    /// Waits for a free slot and takes it.
    pub(crate) async fn reserve(&self) -> Slot {
        let mut changes = self.state.subscribe();
        loop {
            if self.take(|state| state.used < state.limit.get()) {
                return self.slot();
            }
            // The sender lives in `self`, so this ends by a change alone.
            let _changed = changes.changed().await;
        }
    }

    /// Takes a slot for a job that already runs, above the limit if need be.
    pub(crate) fn occupy(&self) -> Slot {
        self.take(|_| true);
        self.slot()
    }

    /// Changes the limit.
    pub(crate) fn set_limit(&self, limit: NonZeroUsize) {
        self.state.send_if_modified(|state| {
            let changed = state.limit != limit;
            state.limit = limit;
            changed
        });
    }

    /// The limit in force.
    pub(crate) fn limit(&self) -> NonZeroUsize {
        self.state.borrow().limit
    }

    /// How many slots are taken.
    pub(crate) fn used(&self) -> usize {
        self.state.borrow().used
    }

    fn take(&self, allowed: impl Fn(&State) -> bool) -> bool {
        self.state.send_if_modified(|state| {
            let taken = allowed(state);
            state.used += usize::from(taken);
            taken
        })
    }

    fn slot(&self) -> Slot {
        Slot { state: Arc::clone(&self.state) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.state.send_modify(|state| state.used -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::{FutureExt, poll};

    use super::*;

    fn count(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    #[tokio::test]
    async fn never_more_slots_are_given_than_the_limit_allows() {
        let slots = Slots::new(count(2));
        let first = slots.reserve().await;
        let _second = slots.reserve().await;
        let mut third = slots.reserve().boxed_local();
        assert!(poll!(&mut third).is_pending());
        drop(first);
        assert!(matches!(poll!(&mut third), Poll::Ready(_)));
    }

    #[tokio::test]
    async fn a_raised_limit_wakes_the_waiter_and_a_lowered_one_stops_no_job() {
        let slots = Slots::new(count(1));
        let first = slots.reserve().await;
        let mut second = slots.reserve().boxed_local();
        assert!(poll!(&mut second).is_pending());
        slots.set_limit(count(2));
        let Poll::Ready(second) = poll!(&mut second) else { panic!("not woken") };
        slots.set_limit(count(1));
        assert_eq!(slots.used(), 2);
        drop(first);
        assert!(poll!(slots.reserve().boxed_local()).is_pending());
        drop(second);
        assert!(poll!(slots.reserve().boxed_local()).is_ready());
    }

    #[tokio::test]
    async fn an_abandoned_wait_keeps_no_slot() {
        let slots = Slots::new(count(1));
        let held = slots.occupy();
        drop(slots.reserve().boxed_local());
        drop(held);
        assert_eq!(slots.used(), 0);
    }
}
