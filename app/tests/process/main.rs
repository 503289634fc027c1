//! The server as a process: its worker API, by the real client and byte for byte, and its command line.

#![expect(clippy::unwrap_used, reason = "tests")]

mod budget;
mod claim;
mod command_line;
mod description;
mod harness;
mod lease;
mod memory;
mod original;
mod parking;
mod queue;
mod wire;
