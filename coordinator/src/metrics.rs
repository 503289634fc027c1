//! What Prometheus is told. The stages tell the [board](crate::board), and only that; the page is made
//! from it when it is asked for ([`page()`]), in the text format that Prometheus reads.
//!
//! Invariant: the number of series is bounded whatever jobs, agents and apps say: every label has its
//! values from a closed list, or from a list that is cut.

mod family;
mod histogram;
mod page;
mod tally;
mod text;

pub(crate) use histogram::Histogram;
pub(crate) use page::{NotTold, Process, Room, Sights, page};
pub(crate) use tally::{Claimed, Phase, Retry, Tally};
