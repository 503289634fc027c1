//! `coordinator check`: could jobs be run?

use std::path::PathBuf;

use clap::Args;

use crate::config::Flags;

/// Arguments of `coordinator check`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Leave out the coding CLIs of the images, which take minutes.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The file that the service has its environment from: settings are read from it as systemd does, and not
    /// from this environment. Where none is named, only who can read /etc/terarchitect/coordinator.env is
    /// looked at.
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Its variables are this process's environment by now.
    #[arg(long, hide = true, requires = "env_file")]
    pub(crate) env_taken: bool,
    /// The settings. Where a coordinator runs in the state directory, it checks its own.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
