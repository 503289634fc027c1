//! Commands that have no arguments of their own: `pause`, `resume`, `notify-test`.

use clap::Args;

use crate::config::Flags;

/// Arguments of a command to the running coordinator.
#[derive(Args, Debug)]
pub(crate) struct Plain {
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
