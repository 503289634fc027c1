//! `coordinator retry JOB`: its ticket once more.

use clap::Args;

use crate::config::Flags;

/// Arguments of `coordinator retry`.
#[derive(Args, Debug)]
pub(crate) struct Retry {
    /// A job: its id, the beginning of it, or its ticket's id for the latest job of that.
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings. Where a coordinator runs in the state directory, it asks with its own.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
