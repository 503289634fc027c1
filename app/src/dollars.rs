//! Amounts of US dollars, exact to a millionth, as they are written in JSON and kept in the database.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Millionths of a dollar.
const MICRO: u64 = 1_000_000;

/// Most dollars that an amount can have.
const MAX: u64 = 1_000_000;

/// An amount of US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dollars(u64);

/// The text or number is no amount.
#[derive(Debug, thiserror::Error)]
#[error("must be US dollars from 0 to {MAX} with up to six decimals")]
pub(crate) struct NoAmount;

impl Dollars {
    pub(crate) const fn from_millionths(millionths: u64) -> Self {
        Self(millionths)
    }

    pub(crate) const fn millionths(self) -> u64 {
        self.0
    }

    /// What costs so much, rounded up to a millionth: what costs anything is not kept as nothing.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "it was clamped before"
    )]
    pub(crate) fn of_cost(dollars: f64) -> Self {
        let most = (MAX * MICRO) as f64;
        // The nearest tenth of it first: 0.1 is a little more than a tenth in a floating-point number.
        let tenths = (dollars * MICRO as f64 * 10.0).round();
        Self((tenths / 10.0).ceil().clamp(0.0, most) as u64)
    }
}

impl FromStr for Dollars {
    type Err = NoAmount;

    fn from_str(text: &str) -> Result<Self, NoAmount> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
            return Err(NoAmount);
        }
        let whole = whole.parse::<u64>().ok().filter(|whole| *whole <= MAX).ok_or(NoAmount)?;
        let micro: u64 = format!("{decimals:0<6}").parse().map_err(|_| NoAmount)?;
        Ok(Self(whole * MICRO + micro))
    }
}

impl fmt::Display for Dollars {
    /// As a plain number, without zeros at its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:06}", self.0 / MICRO, self.0 % MICRO);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for Dollars {
    #[expect(clippy::cast_precision_loss, reason = "at most a billion of millionths: exact")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / MICRO as f64)
    }
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::of_cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_reads_back_as_it_was_written() {
        for text in ["0", "0.1", "12.5", "0.000001", "1000000"] {
            let amount: Dollars = text.parse().unwrap();
            assert_eq!(amount.to_string(), text);
            let json = serde_json::to_string(&amount).unwrap();
            assert_eq!(serde_json::from_str::<Dollars>(&json).unwrap(), amount, "{json}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "1e3", "1,5", "0.0000001", "1000001.5", "NaN"] {
            assert!(text.parse::<Dollars>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_cost_is_rounded_up_and_never_less_than_nothing() {
        for (cost, millionths) in
            [(0.1, 100_000), (0.036, 36_000), (0.000_000_5, 1), (-3.0, 0), (f64::NAN, 0)]
        {
            assert_eq!(Dollars::of_cost(cost).millionths(), millionths, "{cost}");
        }
        assert_eq!(Dollars::of_cost(f64::INFINITY).millionths(), MAX * MICRO);
    }
}
