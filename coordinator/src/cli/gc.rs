//! `coordinator gc`: remove what belongs to no job.

use clap::Args;

use crate::config::Flags;

/// Arguments of `coordinator gc`.
#[derive(Args, Debug)]
pub(crate) struct Gc {
    /// Show what would go, and remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
