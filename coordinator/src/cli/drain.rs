//! `coordinator drain`: claim nothing, finish, end.

use clap::Args;

use crate::config::Flags;

/// Arguments of `coordinator drain`.
#[derive(Args, Debug)]
pub(crate) struct Drain {
    /// Print one JSON object, when it is done.
    #[arg(long)]
    pub(crate) json: bool,
    /// Return at once.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
