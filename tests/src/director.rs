//! The real agent with real coding CLIs, under a Director whose answers are scripted: good ones, and every kind
//! of bad one. Beside them, jobs that come to a limit of
//! their own or of a provider, and texts that give orders.
//!
//! What counts is what is on the remote afterwards, and that no model was ever sent a secret. Invariant: a
//! case's models, repository and container are its own.

mod budgets;
mod case;
mod injections;
mod pauses;
mod stage;

pub use case::{Case, Story};
pub use stage::{Row, Stage, Summary};
