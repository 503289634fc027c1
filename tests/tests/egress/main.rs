//! The gateway of a job on a real engine: the real program in a container of its own, on a network that
//! has no other way out, and an agent's container beside it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod around;
mod changing;
mod job;
mod listed;
mod scene;
