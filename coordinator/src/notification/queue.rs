//! Events that wait to be delivered.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Event;

/// Most that wait. Then the oldest gives way: what is told of late matters least.
pub(super) const MOST: usize = 100;

/// Events in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: Mutex<VecDeque<Event>>,
    added: Notify,
}

impl Queue {
    /// Takes one; how many gave way for it.
    pub(super) fn put(&self, event: Event) -> u64 {
        let mut events = self.events();
        let oldest = if events.len() >= MOST { events.pop_front() } else { None };
        events.push_back(event);
        self.added.notify_one();
        u64::from(oldest.is_some())
    }

    /// Waits for the next one.
    pub(super) async fn next(&self) -> Event {
        loop {
            if let Some(event) = self.next_now() {
                return event;
            }
            self.added.notified().await;
        }
    }

    /// The next one, if one waits.
    pub(super) fn next_now(&self) -> Option<Event> {
        self.events().pop_front()
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
