//! The real agent with real coding CLIs, under a Director whose answers are scripted: good ones, and every kind
//! of bad one. Beside them, jobs that come to a limit of their own or of a provider, texts that give orders,
//! reviews of pull requests, and a ticket whose containers are killed, with the coordinator.
//!
//! What counts is what is on the remote afterwards, and that no model was ever sent a secret. Invariant: a
//! case's forge, models and containers are its own.

mod answers;
mod budgets;
mod case;
mod injections;
mod killed;
mod leaks;
mod pauses;
mod review;
mod seen;
mod stage;
mod summary;

pub use case::{Case, Story};
pub use stage::Stage;
pub use summary::{Row, Summary};
