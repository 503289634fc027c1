//! `coordinator logs JOB`: what its agent printed.

use clap::Args;

use super::job::JobArgument;
use crate::config::Flags;

/// Arguments of `coordinator logs`.
#[derive(Args, Debug)]
pub(crate) struct Logs {
    /// The job.
    #[command(flatten)]
    pub(crate) of: JobArgument,
    /// Go on until the job has ended. Exit 4: it did not deliver.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Begin with so many lines from the end, instead of all.
    #[arg(long, short = 'n', value_name = "LINES")]
    pub(crate) tail: Option<usize>,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
