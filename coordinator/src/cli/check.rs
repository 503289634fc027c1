//! `coordinator check`: could jobs be run?

use clap::Args;

use crate::config::Flags;

/// Arguments of `coordinator check`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings. Where a coordinator runs in the state directory, it checks its own.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
