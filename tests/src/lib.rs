//! What the integration tests run against: a git forge and a model provider,
//! both on loopback or a chosen address, both real enough for real clients;
//! and what they start: the real programs, on the real Docker Engine.
//!
//! Invariant: everything here is driven over HTTP by the same programs that
//! talk to the real services. Nothing in the product depends on this crate.

#[expect(clippy::expect_used, reason = "what goes wrong in the campaign itself ends the scene")]
pub mod campaign;
#[expect(clippy::expect_used, reason = "what goes wrong here ends the run")]
pub mod director;
pub mod documented;
pub mod forge;
#[expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "what goes wrong in the harness ends the test"
)]
pub mod harness;
pub mod history;
#[expect(clippy::expect_used, clippy::panic, reason = "what goes wrong here ends the attempt")]
pub mod hostile;
#[expect(clippy::expect_used, clippy::panic, reason = "what goes wrong in the hunt itself ends it")]
pub mod hunt;
#[expect(clippy::expect_used, clippy::panic, reason = "what is not as it has to be ends its step")]
pub mod install;
pub mod llm;
#[expect(clippy::expect_used, clippy::panic, reason = "what goes wrong here ends the run")]
pub mod matrix;
#[expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unreachable,
    reason = "what is not as it has to be ends the test"
)]
pub mod modes;
#[expect(clippy::expect_used, clippy::unwrap_used, reason = "what goes wrong here ends the run")]
pub mod monitoring;
pub mod samples;
pub mod server;
