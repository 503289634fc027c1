//! Whole runs of the agent on each of the forges: the real `agent-runner` and git over HTTP, a script as
//! the coding CLI. Every request is checked against what the forge publishes about its API.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod delivery;
mod faults;
mod scene;
