//! A hostile worker: a real job whose worker tries what it should not, in each Docker mode and on the
//! host, beside a neighbour of another project that has to be delivered unharmed, and before a
//! successor of its own project. What came of it is held against the table in `docs/security.md`.
//!
//! Invariant: nothing that is tried does harm where it succeeds. What would is only begun (a signal
//! that is none, a file that is opened and not written, a value that is replaced by itself), or is
//! bounded and taken back.

mod canary;
mod cli;
mod outside;
mod setup;
mod stage;
mod verdict;

pub use setup::Setup;
pub use stage::try_all;
pub use verdict::{Things, documented};
