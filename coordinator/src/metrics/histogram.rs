//! Times, counted by how long they were.

use std::time::Duration;

/// How many times were at most as long as each of some bounds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    /// In seconds, rising.
    bounds: &'static [f64],
    /// Beside each bound the times that are above the bound before and not above this one; those
    /// above all bounds come last.
    counts: Vec<u64>,
    /// In seconds.
    sum: f64,
}

impl Histogram {
    /// An empty one.
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Counts one more.
    pub(crate) fn observe(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let place = self.bounds.iter().position(|bound| seconds <= *bound);
        if let Some(count) = self.counts.get_mut(place.unwrap_or(self.bounds.len())) {
            *count += 1;
        }
        self.sum += seconds;
    }

    /// Each bound and how many times are at most as long.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut so_far = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, count)| {
            so_far += count;
            (*bound, so_far)
        })
    }

    /// All of them.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Together, in seconds.
    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: &[f64] = &[1.0, 5.0, 30.0];

    #[test]
    fn a_time_counts_for_every_bound_that_it_does_not_exceed() {
        let mut histogram = Histogram::new(BOUNDS);
        for seconds in [0, 1, 2, 30, 31] {
            histogram.observe(Duration::from_secs(seconds));
        }
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [(1.0, 2), (5.0, 3), (30.0, 4)]);
        assert_eq!((histogram.count(), histogram.sum()), (5, 64.0));
    }

    proptest! {
        #[test]
        fn no_bound_ever_has_less_than_the_one_before(times in proptest::collection::vec(0u64..60_000, 0..50)) {
            let mut histogram = Histogram::new(BOUNDS);
            for millis in &times {
                histogram.observe(Duration::from_millis(*millis));
            }
            let counts: Vec<_> = histogram.cumulative().map(|(_, count)| count).collect();
            prop_assert!(counts.is_sorted());
            prop_assert!(counts.iter().all(|count| *count <= histogram.count()));
            prop_assert_eq!(histogram.count(), times.len() as u64);
        }
    }
}
