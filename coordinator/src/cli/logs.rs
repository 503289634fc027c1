//! `coordinator logs JOB`: what its agent printed.

use clap::Args;

use crate::config::Flags;

/// Arguments of `coordinator logs`.
#[derive(Args, Debug)]
pub(crate) struct Logs {
    /// A job: its id, the beginning of it, or its ticket's id for the latest job of that.
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
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
