//! What the integration tests run against: a git forge and a model provider,
//! both on loopback or a chosen address, both real enough for real clients.
//!
//! Invariant: everything here is driven over HTTP by the same programs that
//! talk to the real services. Nothing in the product depends on this crate.

pub mod forge;
pub mod llm;
pub mod server;
