//! `coordinator config`: the effective settings.

use clap::Args;

use super::service::ServiceSettings;

/// Arguments of `coordinator config`.
#[derive(Args, Debug)]
pub(crate) struct ShowConfig {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the reference of all settings, in Markdown, whatever the configuration is.
    #[arg(long, conflicts_with = "json")]
    pub(crate) reference: bool,
    /// The settings.
    #[command(flatten)]
    pub(crate) source: ServiceSettings,
}
