//! `coordinator gc`: remove what belongs to no job.

use clap::Args;

use super::service::ServiceSettings;

/// Arguments of `coordinator gc`.
#[derive(Args, Debug)]
pub(crate) struct Gc {
    /// Show what would go, and remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings. Where a coordinator runs in the state directory, it cleans up with its own.
    #[command(flatten)]
    pub(crate) source: ServiceSettings,
}
