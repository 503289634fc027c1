//! `coordinator retry JOB`: its ticket once more.

use clap::Args;

use super::job::JobArgument;
use super::service::ServiceSettings;

/// Arguments of `coordinator retry`.
#[derive(Args, Debug)]
pub(crate) struct Retry {
    /// The job.
    #[command(flatten)]
    pub(crate) of: JobArgument,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings. Where a coordinator runs in the state directory, it asks with its own.
    #[command(flatten)]
    pub(crate) source: ServiceSettings,
}
