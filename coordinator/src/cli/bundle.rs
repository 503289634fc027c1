//! `coordinator bundle JOB`: an archive for a bug report.

use std::path::PathBuf;

use clap::Args;

use super::service::ServiceSettings;

/// Arguments of `coordinator bundle`.
#[derive(Args, Debug)]
pub(crate) struct BundleArguments {
    /// A job: its id, the beginning of it, or its ticket's id for the latest job of that.
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// Where to write it; `-` for standard output. Default: terarchitect-bundle-JOB.tar.gz here.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Leave out what the coding CLI wrote, which has pieces of the code; such a bundle cannot be replayed.
    #[arg(long)]
    pub(crate) no_transcript: bool,
    /// Leave out what the agent printed, which has words of the worker.
    #[arg(long)]
    pub(crate) no_log: bool,
    /// Print one JSON object about it.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings. Where no coordinator runs, the secrets that must not be in it are those that they name.
    #[command(flatten)]
    pub(crate) source: ServiceSettings,
}
