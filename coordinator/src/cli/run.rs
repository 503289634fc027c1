//! `coordinator run`: the daemon.

use clap::Args;

use crate::config::Flags;

/// Arguments of `coordinator run`.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Take one job if one waits, report it, and stop: exit 4 when it failed.
    #[arg(long)]
    pub(crate) once: bool,
    /// The settings.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
