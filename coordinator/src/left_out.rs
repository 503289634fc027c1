//! What had to be left out, since a queue was full or nobody took it: counted since the start for the
//! metrics, and told to people once.

use std::sync::atomic::{AtomicU64, Ordering};

/// How much was left out.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    all: AtomicU64,
    told: AtomicU64,
}

impl LeftOut {
    /// So much more.
    pub(crate) fn add(&self, count: u64) {
        self.all.fetch_add(count, Ordering::Relaxed);
    }

    /// So much more, which people are told of otherwise.
    pub(crate) fn add_told(&self, count: u64) {
        self.all.fetch_add(count, Ordering::Relaxed);
        self.told.fetch_add(count, Ordering::Relaxed);
    }

    /// Since the start.
    pub(crate) fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// What people do not know of yet. They are told now.
    pub(crate) fn tell(&self) -> u64 {
        let all = self.all();
        all.saturating_sub(self.told.swap(all, Ordering::Relaxed))
    }

    /// Whether people do not know of some yet.
    pub(crate) fn is_to_be_told(&self) -> bool {
        self.all() > self.told.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_told_once_and_stays_counted() {
        let left_out = LeftOut::default();
        left_out.add(3);
        assert!(left_out.is_to_be_told());
        assert_eq!((left_out.tell(), left_out.tell()), (3, 0));
        left_out.add(2);
        assert_eq!((left_out.tell(), left_out.all()), (2, 5));
        left_out.add_told(1);
        assert!(!left_out.is_to_be_told());
        assert_eq!(left_out.all(), 6);
    }
}
