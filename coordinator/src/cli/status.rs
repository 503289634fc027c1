//! `coordinator status`: what the running coordinator does.

use clap::Args;

use crate::config::Flags;

/// Arguments of `coordinator status`.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
