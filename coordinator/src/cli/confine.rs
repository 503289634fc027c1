//! `coordinator confine`: started by the keeper of an agent.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// Arguments of the process that becomes an agent on this host.
#[derive(Args, Debug)]
pub(crate) struct ConfineArguments {
    /// The folder for its temporary files.
    #[arg(long)]
    pub(crate) temporary: PathBuf,
    /// A path that it must see as it is.
    #[arg(long)]
    pub(crate) seen: Vec<PathBuf>,
    /// The user as whom it runs.
    #[arg(long, requires = "gid")]
    pub(crate) uid: Option<u32>,
    /// The first group of that user.
    #[arg(long, requires = "uid")]
    pub(crate) gid: Option<u32>,
    /// A group of that user.
    #[arg(long)]
    pub(crate) group: Vec<u32>,
    /// Open files of one process.
    #[arg(long)]
    pub(crate) files: Option<u64>,
    /// Processes of its user.
    #[arg(long)]
    pub(crate) processes: Option<u64>,
    /// The agent: program and arguments.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}
