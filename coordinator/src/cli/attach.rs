//! `coordinator attach JOB`: a shell in its container.

use clap::Args;

use crate::config::Flags;

/// Arguments of `coordinator attach`.
#[derive(Args, Debug)]
pub(crate) struct Attach {
    /// A job: its id, the beginning of it, or its ticket's id for the latest job of that.
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// As root, instead of the user as whom the coding CLI runs.
    #[arg(long)]
    pub(crate) root: bool,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
