//! The worker's model behind the agent's gateway: the real agent on this host, a forge, a scripted
//! model, and a coding CLI, scripted or real.

#![expect(clippy::print_stderr, clippy::unwrap_used, reason = "a test fails by panicking")]

mod budget;
mod keys;
mod scene;
