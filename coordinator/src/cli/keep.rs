//! `coordinator keep`: started by the coordinator itself.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// Arguments of the keeper of an agent on this host.
#[derive(Args, Debug)]
pub(crate) struct KeepArguments {
    /// Where it keeps its notes.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The log of the job.
    #[arg(long)]
    pub(crate) log: PathBuf,
    /// Between the request to end and the kill, in milliseconds.
    #[arg(long)]
    pub(crate) grace_ms: u64,
    /// The agent: program and arguments.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}
