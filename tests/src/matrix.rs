//! Every coding CLI against every way in which a turn can end: the real agent with the real CLI in the
//! real image, on a scripted model and a test forge.
//!
//! What counts is what is on the remote afterwards. Invariant: a case's model, repository and container
//! are its own, so that cases run beside one another; nothing is left of them.

mod case;
pub(crate) mod container;
mod expected;
mod script;
mod stage;
mod table;
mod verdict;

pub use case::{Case, Cli, TurnEnd};
pub use stage::Stage;
pub use table::document;
pub use verdict::{Row, Summary};
