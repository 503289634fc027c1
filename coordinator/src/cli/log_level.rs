//! `coordinator log-level`: what is logged from now on.

use std::time::Duration;

use clap::Args;

use crate::config::{Flags, log_filter, positive_time};

/// Arguments of `coordinator log-level`.
#[derive(Args, Debug)]
pub(crate) struct LogLevel {
    /// error, warn, info, debug or trace, or directives such as info,coordinator=debug.
    #[arg(value_parser = log_filter)]
    pub(crate) filter: String,
    /// Go back to the settings after this time: seconds, or a number with s, m, h or d.
    #[arg(long = "for", value_name = "TIME", value_parser = positive_time)]
    pub(crate) time: Option<Duration>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
