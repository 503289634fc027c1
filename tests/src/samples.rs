//! What a measurement found, run by run.

use std::fmt;

/// Milliseconds, in the order in which they were measured.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one.
    pub fn push(&mut self, millis: f64) {
        self.0.push(millis);
    }

    /// The middle one, or what is between the two in the middle. Not a number where there is none.
    #[must_use]
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        let half = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[half],
            _ => f64::midpoint(sorted[half - 1], sorted[half]),
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl fmt::Display for Samples {
    /// How many, the median, the least and the most.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted = self.sorted();
        let [least, most] =
            [sorted.first(), sorted.last()].map(|end| end.copied().unwrap_or(f64::NAN));
        write!(f, "{:>4} {:>7.1} {least:>7.1} {most:>7.1}", sorted.len(), self.median())
    }
}
