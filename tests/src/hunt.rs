//! The hunt for secrets: a real job in each Docker mode, with the agent's real image, where every
//! secret is a random value of its own; and a search for those values, in every form that programs
//! write them, in the twelve places where people look.
//!
//! Invariants: a value is never printed, only the name of its secret; a place that could not be
//! looked at is a failure and not a place without hits. What goes wrong here panics.

mod disk;
mod engine;
mod hit;
mod pattern;
mod plant;
mod processes;
mod reach;
mod repository;
mod runner;
mod secret;
mod stage;

pub use hit::{Hit, Hits, Place};
pub use stage::{Found, hunt, hunt_planted};
