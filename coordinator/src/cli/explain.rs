//! `coordinator explain JOB`: one page about one job.

use clap::Args;

use crate::config::Flags;

/// Arguments of `coordinator explain`.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// A job: its id, the beginning of it, or its ticket's id for the latest job of that.
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
