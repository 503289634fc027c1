//! Arguments of `coordinator version`.

use clap::Args;

/// Arguments of `coordinator version`.
#[derive(Args, Debug)]
pub(crate) struct Version {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
