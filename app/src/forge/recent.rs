//! What a forge told a short while ago, and is not asked again so soon.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long it is believed.
const BELIEVED: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(super) struct Recent<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Forgets what is too old.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<V> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (told, _)| now < *told + BELIEVED);
        all.get(key).map(|(_, value)| value.clone())
    }

    pub(super) fn put(&self, key: K, value: V, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key, (now, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_is_asked_for_again() {
        let (recent, now) = (Recent::new(), Instant::now());
        recent.put("ann", 1, now);
        assert_eq!(recent.get(&"ann", now), Some(1));
        assert_eq!(recent.get(&"ann", now + BELIEVED), None);
    }
}
