//! `coordinator explain JOB`: one page about one job.

use clap::Args;

use super::job::JobArgument;
use crate::config::Flags;

/// Arguments of `coordinator explain`.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The job.
    #[command(flatten)]
    pub(crate) of: JobArgument,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
