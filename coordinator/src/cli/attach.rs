//! `coordinator attach JOB`: a shell in its container.

use clap::Args;

use super::job::JobArgument;
use crate::config::Flags;

/// Arguments of `coordinator attach`.
#[derive(Args, Debug)]
pub(crate) struct Attach {
    /// The job.
    #[command(flatten)]
    pub(crate) of: JobArgument,
    /// As root, instead of the user as whom the coding CLI runs.
    #[arg(long)]
    pub(crate) root: bool,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
