//! `coordinator jobs`: what there was.

use clap::Args;

use crate::config::Flags;

/// Arguments of `coordinator jobs`.
#[derive(Args, Debug)]
pub(crate) struct Jobs {
    /// Print one JSON array, with all that is kept.
    #[arg(long)]
    pub(crate) json: bool,
    /// How many at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub(crate) limit: usize,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
