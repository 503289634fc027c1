//! Where a command has the settings of the service from, when it does the service's work itself.

use std::path::PathBuf;

use clap::Args;

use crate::config::Flags;

/// The settings of the service.
#[derive(Args, Debug)]
pub(crate) struct ServiceSettings {
    /// The file that the service has its environment from: it wins over the environment here. Where none is
    /// named, /etc/terarchitect/coordinator.env counts, if it can be read, and the environment here wins.
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// The settings.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
