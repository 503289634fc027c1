//! `coordinator status`, and the other commands to the running coordinator that have no arguments of their own.

use clap::Args;

use crate::config::Flags;

/// Arguments of a command to the running coordinator.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
