//! Arguments of `coordinator man`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `coordinator man`.
#[derive(Args, Debug)]
pub(crate) struct Manual {
    /// Write a page for each command into this folder, and print their paths.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
}
