//! The hunt for secrets: a real job in each deployment, with the agent's real image, where every
//! secret is a random value of its own; and a search for those values, in every form that programs
//! write them, in the twelve places where people look. One more secret is planted in each place, in
//! another form: a hunt that does not find them all would not find a real one either.
//!
//! Invariants: a value is never printed, only the name of its secret; a place that could not be
//! looked at is a failure and not a place without hits. What goes wrong here panics.

mod crash;
mod disk;
mod engine;
mod held;
mod hit;
mod pattern;
mod plant;
mod processes;
mod reach;
mod repository;
mod runner;
mod scene;
mod secret;
mod stage;

pub use hit::{Hit, Hits, Place};
pub(crate) use pattern::Matcher;
pub use scene::Scene;
pub(crate) use secret::Secret;
pub use stage::{Found, hunt};
