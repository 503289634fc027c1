//! The job that a command is about.

use clap::Args;

/// The argument JOB.
#[derive(Args, Debug)]
pub(crate) struct JobArgument {
    /// A job: its id, the beginning of it, or its ticket's id for the latest job of that.
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
}
