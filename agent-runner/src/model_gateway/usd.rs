//! Amounts of US dollars, without rounding.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Pico-dollars in a dollar, micro-dollars in a dollar, and tokens that a price is for. A price of one
/// micro-dollar for a million tokens is one pico-dollar for a token: all sums are exact.
const PICO: u64 = 1_000_000_000_000;
const MICRO: u64 = 1_000_000;

/// Most dollars that an amount can have.
const DOLLARS_MAX: u64 = 1_000_000;

/// An amount of US dollars, exact to a millionth when it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Usd {
    pico: u64,
}

impl Usd {
    /// The price of this many tokens, where this is the price of a million.
    pub(super) fn of_tokens(self, tokens: u64) -> Self {
        Self { pico: (self.pico / MICRO).saturating_mul(tokens) }
    }

    /// What is left after another; never less than nothing.
    pub(super) const fn minus(self, other: Self) -> Self {
        Self { pico: self.pico.saturating_sub(other.pico) }
    }

    /// The amount in dollars, as near as a floating-point number comes.
    #[expect(clippy::cast_precision_loss, reason = "for people and programs to read, not to sum")]
    pub(crate) fn dollars(self) -> f64 {
        self.pico as f64 / PICO as f64
    }

    /// The sum.
    pub(super) const fn plus(self, other: Self) -> Self {
        Self { pico: self.pico.saturating_add(other.pico) }
    }
}

impl FromStr for Usd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "must be US dollars from 0 to {DOLLARS_MAX} with up to six decimals, got {text:?}"
            )
        };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
            return Err(wrong());
        }
        let whole = whole.parse::<u64>().ok().filter(|whole| *whole <= DOLLARS_MAX);
        let micro: u64 = format!("{decimals:0<6}").parse().map_err(|_| wrong())?;
        let whole = whole.ok_or_else(wrong)?;
        Ok(Self { pico: whole * PICO + micro * MICRO })
    }
}

impl fmt::Display for Usd {
    /// With four decimals, rounded up: what costs anything is not shown as nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.pico.div_ceil(PICO / 10_000);
        write!(f, "{}.{:04} USD", shown / 10_000, shown % 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn dollars_are_exact_to_a_millionth() {
        assert_eq!(usd("3").of_tokens(1_000_000), usd("3"));
        assert_eq!(usd("0.000001").of_tokens(1).pico, 1);
        assert_eq!(usd("0.30").pico, usd("0.3").pico);
        assert_eq!(usd("12.5").to_string(), "12.5000 USD");
        assert_eq!(usd("0.000001").to_string(), "0.0001 USD");
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0.0000001", "1000001", "NaN"] {
            assert!(text.parse::<Usd>().is_err(), "{text:?}");
        }
    }
}
