//! `coordinator jobs`: what runs, and what there was.

use std::time::Duration;

use clap::Args;

use crate::config::{Flags, parse_time};

/// Arguments of `coordinator jobs`.
#[derive(Args, Debug)]
pub(crate) struct Jobs {
    /// Print one JSON object, with all that is kept.
    #[arg(long)]
    pub(crate) json: bool,
    /// Those alone that failed.
    #[arg(long)]
    pub(crate) failed: bool,
    /// Those alone that ended within this time: 90m, 12h, 7d.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) since: Option<Duration>,
    /// How many that have ended, at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub(crate) limit: usize,
    /// The settings: the state directory is the one that counts. With `--project`, jobs of those projects
    /// alone are listed.
    #[command(flatten)]
    pub(crate) settings: Flags,
}
